// AWS Signature Version 4, as a server checks it. The algorithm and the examples that the
// tests use are in the Amazon S3 API reference, "Authenticating Requests: Using the
// Authorization Header".
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace s3 {

std::string sha256_hex(std::string_view bytes);

struct SignedRequest {
  std::string method;
  std::string path;                            // as it stood in the request line, escaped
  std::string query;                           // without the '?'
  std::map<std::string, std::string> headers;  // names in small letters
  std::string_view body;
};

struct Key {
  std::string access;
  std::string secret;
};

// Why the server would refuse the request, as S3's error code; empty: it is signed by
// `key` and its body is what was signed. How old it is, is not looked at.
std::string signature_error(const SignedRequest& request, const Key& key);

}  // namespace s3
