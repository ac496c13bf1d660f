#include "sender.h"

#include <curl/curl.h>

#include <memory>
#include <nlohmann/json.hpp>

namespace sms {
namespace {

struct Cleanup {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// Each thread has a connection of its own, which stays open.
CURL* connection() {
  thread_local const std::unique_ptr<CURL, Cleanup> curl(curl_easy_init());
  curl_easy_reset(curl.get());
  return curl.get();
}

}  // namespace

carrel::Result<void> send_sms(const std::string& gateway, const std::string& to,
                              const std::string& key) {
  CURL* const curl = connection();
  const std::string body =
      nlohmann::json{{"to", to}, {"text", "Rehearsal is at eight."}}.dump();
  std::unique_ptr<curl_slist, Cleanup> headers(
      curl_slist_append(nullptr, "Content-Type: application/json"));
  if (!key.empty()) {
    curl_slist_append(headers.get(), ("Idempotency-Key: " + key).c_str());
  }
  curl_easy_setopt(curl, CURLOPT_URL, gateway.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  const CURLcode done = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (done == CURLE_OK && status == 202) return {};
  return carrel::fail(carrel::Code::kUnavailable,
                      done == CURLE_OK
                          ? "the gateway says " + std::to_string(status)
                          : std::string("the gateway: ") + curl_easy_strerror(done),
                      "sms");
}

}  // namespace sms
