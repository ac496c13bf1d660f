#include "address.h"

#include <carrel/config.h>

#include <charconv>

namespace carrel::zmq {
namespace {

tl::unexpected<Error> bad(const Url& url, const std::string& why) {
  return fail(Code::kInvalid, "\"" + url.redacted() + "\": " + why, "zmq");
}

Result<void> check_tcp(const Url& url) {
  if (url.rest.find('@') != std::string::npos) {
    return bad(url,
               "a broker knows no user and password: say server_key and secret_file");
  }
  const std::size_t colon = url.rest.rfind(':');
  unsigned port = 0;
  if (colon != std::string::npos && colon > 2) {
    const char* begin = url.rest.data() + colon + 1;
    const char* end = url.rest.data() + url.rest.size();
    const auto [stop, error] = std::from_chars(begin, end, port);
    if (error != std::errc{} || stop != end || port > 65'535) port = 0;
  }
  if (port == 0 || url.rest.find('/', 2) != std::string::npos) {
    return bad(url, R"(expected a host and a port, such as "zmq+tcp://127.0.0.1:5555")");
  }
  return {};
}

Result<Duration> duration_in(const Url& url, const std::string& name,
                             const std::string& text, Duration least, Duration most) {
  const auto duration = parse_duration(text);
  if (!duration) return bad(url, name + ": " + duration.error().message);
  if (*duration < least || *duration > most) {
    return bad(url, name + ": expected " + to_text(least) + " to " + to_text(most) +
                        ", got \"" + text + "\"");
  }
  return *duration;
}

Result<void> read_option(const Url& url, const std::string& name, const std::string& text,
                         Address& address) {
  using std::chrono::milliseconds;
  using std::chrono::minutes;
  if (name == "timeout" || name == "heartbeat") {
    const auto duration = duration_in(url, name, text, milliseconds(100), minutes(1));
    if (!duration) return tl::unexpected<Error>(duration.error());
    (name == "timeout" ? address.timeout : address.heartbeat) = *duration;
    return {};
  }
  if (name == "server_key") {
    if (!is_key(text)) return bad(url, "server_key: expected 64 hexadecimal digits");
    address.server_key = text;
    return {};
  }
  if (name == "secret_file") {
    auto keys = read_secret(text);
    if (!keys) return tl::unexpected<Error>(keys.error());
    address.keys = std::move(*keys);
    return {};
  }
  return bad(url, "there is no option \"" + name +
                      "\"; allowed are timeout, heartbeat, server_key and secret_file");
}

}  // namespace

Result<Address> address_of(const Url& url) {
  constexpr std::size_t kPrefix = 4;  // "zmq+"
  Address address;
  const std::string transport = url.scheme.substr(kPrefix);
  address.endpoint = transport + ":" + url.rest;
  if (!url.rest.starts_with("//") || url.rest.size() <= 2) {
    return bad(url, "expected an address such as \"" + url.scheme + "://" +
                        (transport == "tcp" ? "127.0.0.1:5555" : "/run/carrel.sock") +
                        "\"");
  }
  if (transport == "tcp") {
    if (auto ok = check_tcp(url); !ok) return tl::unexpected<Error>(ok.error());
  } else {
    address.reach = Reach::kHost;
  }
  for (const auto& [name, text] : url.query) {
    if (auto ok = read_option(url, name, text, address); !ok) {
      return tl::unexpected<Error>(ok.error());
    }
  }
  if (address.server_key.empty() != !address.keys) {
    return bad(url, "server_key and secret_file belong together");
  }
  return address;
}

}  // namespace carrel::zmq
