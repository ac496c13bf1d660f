#include "signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace s3 {
namespace {

std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char c : bytes) {
    out += kDigits[c >> 4];
    out += kDigits[c & 15];
  }
  return out;
}

std::string hmac(std::string_view key, std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, &size);
  return {reinterpret_cast<char*>(out), size};
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = std::min(text.find(at), text.size());
    parts.emplace_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

// Without blanks around it, and with one where there were several.
std::string trimmed(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// "name=value" of "Credential=…, SignedHeaders=…, Signature=…".
std::string field(std::string_view authorization, std::string_view name) {
  const std::size_t at = authorization.find(std::string(name) + "=");
  if (at == std::string_view::npos) return {};
  const std::string_view rest = authorization.substr(at + name.size() + 1);
  return std::string(rest.substr(0, rest.find_first_of(", ")));
}

std::string canonical_query(const std::string& query) {
  if (query.empty()) return {};
  std::vector<std::string> parts = split(query, '&');
  for (std::string& part : parts) {
    if (part.find('=') == std::string::npos) part += '=';
  }
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : "&") + part;
  return out;
}

const std::string& header(const SignedRequest& request, const std::string& name) {
  static const std::string kNone;
  const auto it = request.headers.find(name);
  return it == request.headers.end() ? kNone : it->second;
}

std::string canonical_request(const SignedRequest& request, const std::string& names) {
  std::string out =
      request.method + "\n" + request.path + "\n" + canonical_query(request.query) + "\n";
  for (const std::string& name : split(names, ';')) {
    out += name + ":" + trimmed(header(request, name)) + "\n";
  }
  return out + "\n" + names + "\n" + header(request, "x-amz-content-sha256");
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out, &size, EVP_sha256(), nullptr);
  return hex({reinterpret_cast<char*>(out), size});
}

std::string signature_error(const SignedRequest& request, const Key& key) {
  const std::string& authorization = header(request, "authorization");
  if (authorization.empty()) return "AccessDenied";
  const std::string names = field(authorization, "SignedHeaders");
  const std::vector<std::string> scope = split(field(authorization, "Credential"), '/');
  if (authorization.rfind("AWS4-HMAC-SHA256 ", 0) != 0 || scope.size() != 5 ||
      names.empty()) {
    return "AuthorizationHeaderMalformed";
  }
  if (scope[0] != key.access) return "InvalidAccessKeyId";
  const std::vector<std::string> list = split(names, ';');
  for (const char* must : {"host", "x-amz-content-sha256", "x-amz-date"}) {
    if (std::find(list.begin(), list.end(), must) == list.end()) return "AccessDenied";
  }

  const std::string text = "AWS4-HMAC-SHA256\n" + header(request, "x-amz-date") + "\n" +
                           scope[1] + "/" + scope[2] + "/" + scope[3] + "/" + scope[4] +
                           "\n" + sha256_hex(canonical_request(request, names));
  std::string signing = hmac("AWS4" + key.secret, scope[1]);
  for (std::size_t i = 2; i < scope.size(); ++i) signing = hmac(signing, scope[i]);
  const std::string right = hex(hmac(signing, text));
  const std::string said = field(authorization, "Signature");
  if (said.size() != right.size() ||
      CRYPTO_memcmp(said.data(), right.data(), right.size()) != 0) {
    return "SignatureDoesNotMatch";
  }
  const std::string& hash = header(request, "x-amz-content-sha256");
  return hash == sha256_hex(request.body) ? "" : "XAmzContentSHA256Mismatch";
}

}  // namespace s3
