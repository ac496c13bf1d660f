#include "mariadb/url.h"

#include <carrel/config.h>

#include <algorithm>
#include <map>

namespace carrel::sql::mariadb {
namespace {

tl::unexpected<Error> bad(const Url& url, const std::string& why) {
  return fail(Code::kInvalid, "\"" + url.redacted() + "\": " + why, "mysql");
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex(text[i + 1]) : -1;
    const int low = high >= 0 ? hex(text[i + 2]) : -1;
    if (low < 0) {
      out += text[i];
    } else {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

}  // namespace

Result<Settings> settings_of(const Url& url) {
  Settings settings;
  const std::string shown = url.redacted();
  settings.place = shown.substr(0, shown.find('?'));
  std::map<std::string, std::string> all = {{"charset", "utf8mb4"},
                                            {"connect_timeout", "3"}};
  std::string_view rest = url.rest;
  if (!rest.starts_with("//")) {
    return bad(url, "expected one such as \"mysql://user:password@host/database\"");
  }
  rest.remove_prefix(2);
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos || slash + 1 == rest.size() ||
      rest.find('/', slash + 1) != std::string_view::npos) {
    return bad(url, "it names no database; expected \"mysql://host/database\"");
  }
  all["db"] = decoded(rest.substr(slash + 1));
  std::string_view where = rest.substr(0, slash);
  if (const std::size_t at = where.rfind('@'); at != std::string_view::npos) {
    const std::string_view who = where.substr(0, at);
    where.remove_prefix(at + 1);
    const std::size_t colon = who.find(':');
    all["user"] = decoded(who.substr(0, colon));
    if (colon != std::string_view::npos) all["password"] = decoded(who.substr(colon + 1));
  }
  if (const std::size_t colon = where.rfind(':'); colon != std::string_view::npos) {
    const std::string_view port = where.substr(colon + 1);
    if (port.empty() || port.size() > 5 ||
        !std::all_of(port.begin(), port.end(),
                     [](char c) { return c >= '0' && c <= '9'; })) {
      return bad(url, "the port is not a number");
    }
    all["port"] = port;
    where = where.substr(0, colon);
  }
  // The client library takes "localhost" for its own socket, wherever that is.
  if (!where.empty()) all["host"] = where == "localhost" ? "127.0.0.1" : decoded(where);
  for (const auto& option : url.query) {
    const std::string& key = option.first;
    const std::string& value = option.second;
    if (key == "socket") {
      all["unix_socket"] = value;
      all.erase("host");
    } else if (key == "ssl_ca" || key == "ssl_cert" || key == "ssl_key") {
      all["ssl" + key.substr(4)] = value;
    } else if (key == "migrate") {
      const auto migrate = parse_migrate(value);
      if (!migrate) return bad(url, migrate.error().message);
      settings.migrate = *migrate;
    } else if (key == "call_timeout") {
      const auto duration = parse_duration(value);
      if (!duration) return bad(url, "call_timeout: " + duration.error().message);
      if (*duration < std::chrono::milliseconds(100) ||
          *duration > std::chrono::hours(1)) {
        return bad(url, "call_timeout: expected 100ms to 1h, got \"" + value + "\"");
      }
      settings.call_timeout = *duration;
    } else {
      return bad(url, "there is no option \"" + key +
                          "\"; allowed are call_timeout, migrate, socket, ssl_ca, "
                          "ssl_cert and ssl_key");
    }
  }
  for (const auto& [key, value] : all)
    settings.connect += key + "=" + quoted(value) + " ";
  return settings;
}

}  // namespace carrel::sql::mariadb
