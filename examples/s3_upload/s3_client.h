// A client for S3 as such clients used to be written: its connection, its credentials and
// the object that is under way live in one global. It works against any S3 endpoint.
//
// Nothing here may be called by two threads at once, and nothing stops you: that is what
// this example is about. A forked process has a copy of the global, and may.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <tl/expected.hpp>

namespace s3 {

struct Settings {
  std::string endpoint;  // "https://s3.eu-central-1.amazonaws.com", without a path
  std::string region = "us-east-1";
  std::string bucket;
  std::string access_key;
  std::string secret_key;
  std::chrono::milliseconds timeout{60'000};  // of one request
};

enum class Trouble {
  kTimeout,     // no answer in time
  kConnection,  // none could be had, or it broke
  kBusy,        // the server asks to come later: 429, 500, 502, 503, 504
  kRefused,     // it will not do that, whoever asks how often: any other status
  kClient,      // a file that cannot be read or is too large, a key that is too long
};

struct Failure {
  Trouble what = Trouble::kClient;
  std::string message;
  long status = 0;  // of HTTP; 0: there was no answer
};

template <class T>
using Result = tl::expected<T, Failure>;

inline constexpr std::size_t kLargestObject = 1 << 20;  // bytes

// Keeps the settings for all that follows; an open connection is closed.
void configure(const Settings& settings);

// Stores the file's content under `key`, and returns the ETag that the server gave it.
// Blocks until the answer. The request is signed with AWS Signature Version 4.
Result<std::string> put(const std::string& key, const std::string& file);
// The object's content. Blocks until it is here.
Result<std::string> get(const std::string& key);

}  // namespace s3
