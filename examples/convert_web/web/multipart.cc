#include "web/multipart.h"

#include <algorithm>
#include <cctype>

namespace convert_web {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// The value of `; name="value"`, or of `; name=value`.
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  for (std::size_t at = header.find(';'); at < header.size();) {
    ++at;
    while (at < header.size() && (header[at] == ' ' || header[at] == '\t')) ++at;
    const std::size_t equals = std::min(header.find('=', at), header.size());
    const std::string key = lower(header.substr(at, equals - at));
    at = std::min(equals + 1, header.size());
    std::string value;
    if (at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        // Browsers write a quote as %22; a backslash before one is older.
        if (header[at] == '\\' && at + 1 < header.size() && header[at + 1] == '"') ++at;
        value += header[at];
      }
      at = std::min(header.find(';', at), header.size());
    } else {
      const std::size_t end = std::min(header.find(';', at), header.size());
      value = header.substr(at, end - at);
      at = end;
    }
    if (key == name) return value;
  }
  return {};
}

// Fills name and filename; false: it is no part of a form.
bool read_header(std::string_view header, Part& part) {
  constexpr std::string_view kField = "content-disposition:";
  while (!header.empty()) {
    const std::size_t end = std::min(header.find("\r\n"), header.size());
    const std::string_view line = header.substr(0, end);
    header.remove_prefix(std::min(end + 2, header.size()));
    if (lower(line.substr(0, kField.size())) != kField) continue;
    const auto name = parameter(line, "name");
    if (!name) return false;
    part.name = *name;
    part.filename = parameter(line, "filename");
    return true;
  }
  return false;
}

struct Character {
  char32_t value = 0;
  std::size_t bytes = 1;
};

// The first character of `text`; of what is no UTF-8 a single byte, as a control.
Character first_character(std::string_view text) {
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // by the number of bytes
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return {byte(0), 1};
  const std::size_t bytes = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < bytes) return {};
  char32_t value = byte(0) & (0x7fU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3fU);
  }
  const bool surrogate = value >= 0xd800 && value < 0xe000;
  if (value < kLeast[bytes] || value > 0x10ffff || surrogate) return {};
  return {value, bytes};
}

// Controls, and those that turn the direction of writing: "gpj.nk" could end in ".jpg".
bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e ||
         c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

tl::expected<std::vector<Part>, std::string> parse_multipart(
    std::string_view content_type, std::string_view body) {
  const auto cut_off = [] { return tl::unexpected<std::string>("The form is cut off."); };
  if (lower(content_type.substr(0, content_type.find(';'))) != "multipart/form-data") {
    return tl::unexpected<std::string>("This is not the form of this page.");
  }
  const auto boundary = parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > 70) {
    return tl::unexpected<std::string>("The form has no boundary.");
  }
  const std::string mark = "--" + *boundary;
  if (!body.starts_with(mark)) return cut_off();
  body.remove_prefix(mark.size());
  std::vector<Part> parts;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n")) return cut_off();
    if (parts.size() >= kMaxParts) {
      return tl::unexpected<std::string>("The form has too many fields.");
    }
    const std::size_t header = body.find("\r\n\r\n");
    if (header == std::string_view::npos || header > kMaxPartHeader) return cut_off();
    Part part;
    if (!read_header(body.substr(2, header - std::min<std::size_t>(header, 2)), part)) {
      return tl::unexpected<std::string>("A field of the form has no name.");
    }
    body.remove_prefix(header + 4);
    const std::size_t end = body.find("\r\n" + mark);
    if (end == std::string_view::npos) return cut_off();
    part.content = body.substr(0, end);
    parts.push_back(std::move(part));
    body.remove_prefix(end + 2 + mark.size());
  }
  return parts;
}

const Part* find_part(const std::vector<Part>& parts, std::string_view name) {
  const auto it = std::find_if(parts.begin(), parts.end(),
                               [&](const Part& part) { return part.name == name; });
  return it == parts.end() ? nullptr : &*it;
}

std::string display_name(std::string_view name) {
  constexpr std::size_t kMost = 100;
  name = name.substr(name.find_last_of("/\\") + 1);  // npos + 1 is 0
  std::string out;
  while (!name.empty()) {
    const Character c = first_character(name);
    if (out.size() + c.bytes > kMost) break;
    const bool bad =
        is_control(c.value) ||
        std::string_view("\"<>|:*?%;").find(name[0]) != std::string_view::npos;
    if (bad) {
      out += '_';
    } else {
      out += name.substr(0, c.bytes);
    }
    name.remove_prefix(c.bytes);
  }
  if (out.find_first_not_of(". ") == std::string::npos) return "file";
  return out;
}

}  // namespace convert_web
