#include "postgresql/url.h"

#include <carrel/config.h>
#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "wording.h"

namespace carrel::sql::postgresql {
namespace {

tl::unexpected<Error> bad(const Url& url, const std::string& why) {
  return fail(Code::kInvalid, "\"" + url.redacted() + "\": " + why, "postgresql");
}

std::string percent_encoded(const std::string& text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
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

// A password with a '@', '/' or '?' that is not encoded: to libpq it ends there, and it
// would tell what follows as a host or a port.
bool has_bare_password(const Url& url) {
  const std::string_view text(url.text);
  const std::string shown = url.redacted();
  if (shown.substr(0, shown.find('?')) == text.substr(0, text.find('?'))) return false;
  const std::string_view after(std::string_view(url.rest).substr(2));
  const std::size_t slash = after.find('/');
  if (after.find('@') != std::string_view::npos) {
    const std::string_view authority = after.substr(0, slash);
    return std::count(authority.begin(), authority.end(), '@') != 1;
  }
  // Before the '?' there are hosts and ports, or the beginning of a password.
  if (slash != std::string_view::npos) return false;
  const std::size_t at = text.find('@');
  return at != std::string_view::npos && text.find('/', at) != std::string_view::npos;
}

bool is_option_of_libpq(const std::string& name) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> all(PQconndefaults(),
                                                                         &PQconninfoFree);
  if (!all) return true;  // out of memory: it says so itself
  for (const PQconninfoOption* o = all.get(); o->keyword != nullptr; ++o) {
    if (name == o->keyword) return true;
  }
  return name == "ssl";  // of JDBC, which libpq knows in a URI
}

// "key='value' …" of a URI, with what carrel asks of every connection.
Result<std::string> connect_string(const Url& url, const std::string& uri,
                                   Duration call_timeout) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(uri.c_str(), &message), &PQconninfoFree);
  if (!options) {
    std::string why = message != nullptr ? message : "it cannot be understood";
    PQfreemem(message);
    // libpq quotes what it does not understand, which may be a password.
    if (url.redacted() != url.text) why = "libpq cannot understand it";
    while (!why.empty() && why.back() == '\n') why.pop_back();
    return bad(url, why);
  }
  const auto milliseconds =
      std::chrono::ceil<std::chrono::milliseconds>(call_timeout).count();
  std::map<std::string, std::string> all = {
      {"application_name", "carrel"},
      {"client_encoding", "UTF8"},
      {"connect_timeout", "3"},
      {"keepalives_idle", "5"},
      {"keepalives_interval", "2"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", std::to_string(milliseconds)},
  };
  for (const PQconninfoOption* o = options.get(); o->keyword != nullptr; ++o) {
    if (o->val != nullptr) all[o->keyword] = o->val;
  }
  std::string text;
  for (const auto& [key, value] : all) text += key + "=" + quoted(value) + " ";
  return text;
}

}  // namespace

Result<Settings> settings_of(const Url& url) {
  Settings settings;
  settings.place = url.redacted().substr(0, url.redacted().find('?'));
  constexpr const char* kEncode =
      "in a password '@' is written \"%40\", '/' \"%2F\" and '?' \"%3F\"";
  if (has_bare_password(url)) return bad(url, kEncode);
  std::string uri = "postgresql:" + url.rest;
  std::string listen;
  char joint = '?';
  for (const auto& option : url.query) {
    const std::string& key = option.first;
    const std::string& value = option.second;
    if (key == "prepare") {
      if (value != "on" && value != "off") {
        return bad(url, "prepare: expected on or off, got \"" + value + "\"");
      }
      settings.prepare = value == "on";
    } else if (key == "listen") {
      listen = value;
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
    } else if (!is_option_of_libpq(key)) {
      static const std::array<std::string, 4> kOwn = {"call_timeout", "migrate",
                                                      "prepare", "listen"};
      return bad(url, "there is no option \"" + key + "\"" + did_you_mean(key, kOwn));
    } else {
      uri += joint + percent_encoded(key) + "=" + percent_encoded(value);
      joint = '&';
    }
  }
  auto connect = connect_string(url, uri, settings.call_timeout);
  if (!connect) return tl::unexpected(std::move(connect.error()));
  settings.connect = std::move(*connect);
  // A pooler would keep what LISTEN asks for on one of its connections, and hear nothing.
  if (listen.empty()) listen = settings.prepare ? "on" : "off";
  if (listen == "on") {
    settings.listen = settings.connect;
  } else if (listen != "off") {
    const auto other = Url::parse(listen);
    if (!other || (other->scheme != "postgresql" && other->scheme != "postgres")) {
      return bad(url, "listen: expected on, off or a postgresql:// URL of its own");
    }
    if (has_bare_password(*other)) {  // it is encoded once more, as all of an option is
      return bad(url, std::string("listen: ") + kEncode + ", and '%' \"%25\"");
    }
    auto string = connect_string(*other, listen, settings.call_timeout);
    if (!string) return tl::unexpected(std::move(string.error()));
    settings.listen = std::move(*string);
  }
  return settings;
}

}  // namespace carrel::sql::postgresql
