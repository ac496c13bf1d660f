#include "s3_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "signature.h"

namespace s3 {
namespace {

// All of it, once for the process.
struct Global {
  Settings settings;
  CURL* connection = nullptr;  // of the last request, for the next
  char url[2048] = {};
  char upload[kLargestObject + 1] = {};  // what is being sent
  std::size_t size = 0;
  std::size_t sent = 0;
  char answer[kLargestObject + 1] = {};  // what the server said
  std::size_t received = 0;
  char error[CURL_ERROR_SIZE] = {};
};
Global the;

std::size_t give(char* to, std::size_t size, std::size_t count, void*) {
  const std::size_t n = std::min(size * count, the.size - std::min(the.sent, the.size));
  std::memcpy(to, the.upload + the.sent, n);
  the.sent += n;
  return n;
}

std::size_t take(char* from, std::size_t size, std::size_t count, void*) {
  const std::size_t n = size * count;
  if (n > kLargestObject - std::min(the.received, kLargestObject)) return 0;
  std::memcpy(the.answer + the.received, from, n);
  the.received += n;
  return n;
}

tl::unexpected<Failure> client_failure(std::string message) {
  return tl::unexpected(Failure{Trouble::kClient, std::move(message), 0});
}

// Every segment of a key, escaped; the slashes between them are not.
std::string escaped(const std::string& key) {
  char* whole = curl_easy_escape(nullptr, key.data(), static_cast<int>(key.size()));
  std::string out = whole;
  curl_free(whole);
  for (std::size_t at = 0; (at = out.find("%2F", at)) != std::string::npos; ++at) {
    out.replace(at, 3, "/");
  }
  return out;
}

// One request, on the connection that the last one left.
class Request {
 public:
  Request() : curl_(std::exchange(the.connection, nullptr)) {
    if (curl_ == nullptr) curl_ = curl_easy_init();
    curl_easy_reset(curl_);  // the options; the connection stays open
  }
  ~Request() {
    curl_slist_free_all(headers_);
    curl_easy_cleanup(std::exchange(the.connection, curl_));
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Result<void> begin(const std::string& key, const std::string& payload_hash);
  template <class T>
  void set(CURLoption option, T value) {
    curl_easy_setopt(curl_, option, value);
  }
  Result<void> perform(const std::string& key);
  std::string etag() const {
    curl_header* header = nullptr;
    curl_easy_header(curl_, "ETag", 0, CURLH_HEADER, -1, &header);
    return header != nullptr ? header->value : "";
  }

 private:
  CURL* curl_;
  curl_slist* headers_ = nullptr;
};

Result<void> Request::begin(const std::string& key, const std::string& payload_hash) {
  const Settings& s = the.settings;
  const int length =
      std::snprintf(the.url, sizeof the.url, "%s/%s/%s", s.endpoint.c_str(),
                    s.bucket.c_str(), escaped(key).c_str());
  if (length < 0 || static_cast<std::size_t>(length) >= sizeof the.url) {
    return client_failure("the key is too long: " + key);
  }
  headers_ =
      curl_slist_append(nullptr, ("x-amz-content-sha256: " + payload_hash).c_str());
  the.received = 0;
  the.sent = 0;
  the.error[0] = '\0';
  set(CURLOPT_URL, the.url);
  set(CURLOPT_ERRORBUFFER, the.error);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_HTTPHEADER, headers_);
  set(CURLOPT_USERNAME, s.access_key.c_str());
  set(CURLOPT_PASSWORD, s.secret_key.c_str());
  set(CURLOPT_AWS_SIGV4, ("aws:amz:" + s.region + ":s3").c_str());
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(s.timeout.count()));
  set(CURLOPT_WRITEFUNCTION, take);
  return {};
}

Trouble trouble_of(long status) {
  const bool passing = status == 429 || status == 500 || (status >= 502 && status <= 504);
  return passing ? Trouble::kBusy : Trouble::kRefused;
}

// The text between <tag> and </tag>, of an error that S3 describes in XML.
std::string element(const std::string& xml, const std::string& tag) {
  const std::size_t begin = xml.find("<" + tag + ">");
  if (begin == std::string::npos) return {};
  const std::size_t from = begin + tag.size() + 2;
  return xml.substr(from, std::min(xml.find("</" + tag + ">", from), xml.size()) - from);
}

Result<void> Request::perform(const std::string& key) {
  const CURLcode code = curl_easy_perform(curl_);
  if (code != CURLE_OK) {
    const bool late = code == CURLE_OPERATION_TIMEDOUT;
    return tl::unexpected(Failure{
        late ? Trouble::kTimeout : Trouble::kConnection,
        key + ": " + (the.error[0] != '\0' ? the.error : curl_easy_strerror(code)), 0});
  }
  long status = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  if (status / 100 == 2) return {};
  const std::string answer(the.answer, the.received);
  return tl::unexpected(Failure{trouble_of(status),
                                key + ": HTTP " + std::to_string(status) + ", " +
                                    element(answer, "Code") + ": " +
                                    element(answer, "Message"),
                                status});
}

}  // namespace

void configure(const Settings& settings) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(once);
  curl_easy_cleanup(std::exchange(the.connection, nullptr));
  the.settings = settings;
}

Result<std::string> put(const std::string& key, const std::string& file) {
  std::FILE* in = std::fopen(file.c_str(), "rb");
  if (in == nullptr) return client_failure("cannot read " + file);
  the.size = std::fread(the.upload, 1, sizeof the.upload, in);
  const bool failed = std::ferror(in) != 0;
  std::fclose(in);
  if (failed) return client_failure("cannot read " + file);
  if (the.size > kLargestObject) return client_failure(file + " is larger than 1 MiB");
  Request request;
  if (auto ok = request.begin(key, sha256_hex({the.upload, the.size})); !ok) {
    return tl::unexpected(ok.error());
  }
  request.set(CURLOPT_UPLOAD, 1L);
  request.set(CURLOPT_READFUNCTION, give);
  request.set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(the.size));
  if (auto ok = request.perform(key); !ok) return tl::unexpected(ok.error());
  return request.etag();
}

Result<std::string> get(const std::string& key) {
  Request request;
  if (auto ok = request.begin(key, sha256_hex({})); !ok) {
    return tl::unexpected(ok.error());
  }
  request.set(CURLOPT_HTTPGET, 1L);
  if (auto ok = request.perform(key); !ok) return tl::unexpected(ok.error());
  return std::string(the.answer, the.received);
}

}  // namespace s3
