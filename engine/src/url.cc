#include <carrel/registry.h>

#include <algorithm>
#include <filesystem>

#include "absolute_url.h"
#include "wording.h"

namespace carrel {
namespace {

namespace fs = std::filesystem;

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool valid_scheme(std::string_view scheme) {
  return !scheme.empty() && is_alpha(scheme.front()) &&
         std::all_of(scheme.begin(), scheme.end(), [](char c) {
           return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
         });
}

bool is_secret(std::string_view key) {
  const std::string name = lower(key);
  for (std::string_view part : {"pass", "pwd", "secret", "token"}) {
    if (name.find(part) != std::string::npos) return true;
  }
  return false;
}

// Where "user:password@…" would begin. Also of what is no usable URL: its ':' or a '/'
// forgotten, a blank before it.
std::size_t authority_in(std::string_view text) {
  std::string_view scheme = text.substr(0, std::min(text.find("//"), text.size()));
  const std::size_t slashes = scheme.size();
  if (scheme.ends_with(':')) scheme.remove_suffix(1);
  scheme.remove_prefix(std::min(scheme.find_first_not_of(" \t"), scheme.size()));
  if (slashes < text.size() && (scheme.empty() || valid_scheme(scheme))) {
    return slashes + 2;
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return text.size();
  const std::string name = lower(text.substr(0, colon));
  if (name == "sqlite" || name == "memory") return text.size();  // a path may hold an '@'
  return std::min(text.find_first_not_of('/', colon + 1), text.size());
}

// Where a password stands in "user:password@host/…", as [first, last) of `text`.
// A password may hold a '/' or '?' that should have been encoded: then all up to the last
// '@' is taken for it, as a line too many hidden is better than one too few.
std::pair<std::size_t, std::size_t> password_in(std::string_view text) {
  constexpr std::pair<std::size_t, std::size_t> kNone{0, 0};
  const std::size_t start = authority_in(text);
  const std::size_t authority_end =
      std::min(text.find_first_of("/?#", start), text.size());
  const std::size_t first = text.find(':', start);
  if (authority_end == start || first >= authority_end) return kNone;
  const std::size_t question = std::min(text.find('?', start), text.size());
  std::size_t at = text.substr(0, question).rfind('@');
  if (at == std::string_view::npos || at < first) {
    // "//host:5432/…" has a port there, and an '@' behind the '?' is nobody's password.
    const auto port = text.substr(first + 1, authority_end - first - 1);
    if (std::all_of(port.begin(), port.end(), is_digit)) return kNone;
    at = text.rfind('@');
    if (at == std::string_view::npos || at < first) return kNone;
  }
  return {first + 1, at};
}

std::string redact(std::string_view text) {
  std::string out(text);
  const auto [first, last] = password_in(text);
  if (last > first) out.replace(first, last - first, "***");
  // "password=…", in the query or, where no path is, in words of a client's own.
  const std::size_t query = std::min(out.find('?'), out.size());
  const std::size_t words = authority_in(text) < text.size() ? 0 : query;
  for (std::size_t equals = out.find('=', words); equals != std::string::npos;
       equals = out.find('=', equals + 1)) {
    const std::size_t before = out.find_last_of("?&; ", equals);
    const std::size_t name = before == std::string::npos ? 0 : before + 1;
    if (!is_secret(std::string_view(out).substr(name, equals - name))) continue;
    const char* const ends = equals > query ? "&" : "&; ";
    const std::size_t end = std::min(out.find_first_of(ends, equals), out.size());
    out.replace(equals + 1, end - equals - 1, "***");
  }
  return out;
}

int hex(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return fail(Code::kInvalid,
                  "a '%' is followed by two hexadecimal digits; a '%' "
                  "itself is written \"%25\"");
    }
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

// As the value of an option, which decode() reads.
std::string encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '%') {
      out += "%25";
    } else if (c == '&') {
      out += "%26";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string with_secret_from(const fs::path& directory, const std::string& url) {
  constexpr std::string_view kOption = "secret_file=";
  std::size_t at = url.find('?');
  while (at != std::string::npos && url.compare(at + 1, kOption.size(), kOption) != 0) {
    at = url.find('&', at + 1);
  }
  if (at == std::string::npos) return url;
  at += 1 + kOption.size();
  const auto file = decode(url.substr(at, std::min(url.find('&', at), url.size()) - at));
  if (!file || file->empty() || fs::path(*file).is_absolute()) return url;
  return url.substr(0, at) + encode((directory / "").string()) + url.substr(at);
}

tl::unexpected<Error> no_url(std::string_view text, std::string_view why) {
  std::string message = "\"" + redact(text) + "\" is not a usable URL: ";
  return fail(Code::kInvalid, message.append(why));
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  if (text.empty()) {
    return fail(
        Code::kInvalid,
        "the URL is empty: expected one such as \"sqlite:jobs.db\" or \"memory:\"");
  }
  if (std::any_of(text.begin(), text.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    return fail(Code::kInvalid, "a URL holds a control character");
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || !valid_scheme(text.substr(0, colon))) {
    return no_url(
        text, "expected a scheme and a ':', such as \"sqlite:jobs.db\" or \"memory:\"");
  }
  Url url;
  url.text = text;
  url.scheme = lower(text.substr(0, colon));
  const std::size_t question = std::min(text.find('?', colon), text.size());
  url.rest = text.substr(colon + 1, question - colon - 1);

  std::string_view query = text.substr(std::min(question + 1, text.size()));
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return no_url(text, "what follows the '?' is name=value, joined by '&'");
    }
    auto name = decode(pair.substr(0, equals));
    if (!name) return no_url(text, name.error().message);
    auto value = decode(pair.substr(equals + 1));
    if (!value) return no_url(text, value.error().message);
    if (!url.query.emplace(*name, std::move(*value)).second) {
      return no_url(text, "\"" + *name + "\" is given twice");
    }
  }
  return url;
}

std::string absolute_url(const fs::path& directory, const std::string& url) {
  const auto parsed = Url::parse(url);
  if (!parsed || directory.empty()) return url;
  if (parsed->scheme.starts_with("zmq+")) return with_secret_from(directory, url);
  if (parsed->scheme != "sqlite") return url;
  const fs::path file(parsed->rest);
  if (file.is_absolute() || parsed->rest.empty() || parsed->rest.front() == ':')
    return url;
  return "sqlite:" + (directory / file).string() +
         url.substr(url.find(':') + 1 + parsed->rest.size());
}

std::string absolute_url(const Config& config, const std::string& url) {
  return absolute_url(config.directory, url);
}

std::string Url::redacted() const { return redact(text); }

}  // namespace carrel
