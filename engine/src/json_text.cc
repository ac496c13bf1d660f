#include "json_text.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace carrel {
namespace {

constexpr std::uint64_t each(std::uint8_t byte) { return 0x0101010101010101U * byte; }

// Of eight bytes: not 0 if one is below `bound`, which is at most 0x80.
constexpr std::uint64_t below(std::uint64_t bytes, std::uint8_t bound) {
  return (bytes - each(bound)) & ~bytes & each(0x80);
}

constexpr std::uint64_t escaped(std::uint64_t bytes) {
  return (bytes & each(0x80)) | below(bytes, 0x20) | below(bytes ^ each('"'), 1) |
         below(bytes ^ each('\\'), 1);
}

// No byte of it is escaped, or part of a longer character.
bool is_plain(std::string_view text) noexcept {
  std::uint64_t found = 0;
  std::uint64_t bytes = 0;
  for (; text.size() >= sizeof bytes; text.remove_prefix(sizeof bytes)) {
    std::memcpy(&bytes, text.data(), sizeof bytes);
    found |= escaped(bytes);
  }
  bytes = each(' ');
  std::memcpy(&bytes, text.data(), text.size());
  return (found | escaped(bytes)) == 0;
}

void append_plain(std::string& out, std::string_view text) {
  out += '"';
  out += text;
  out += '"';
}

template <class Number>
void append_number(std::string& out, Number number) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
  out.append(digits.begin(), end);
}

void append(std::string& out, const Json& value, std::size_t depth) {
  if (value.is_structured() && depth >= kMaxJsonDepth) {
    throw std::length_error("nests deeper than " + std::to_string(kMaxJsonDepth));
  }
  switch (value.type()) {
    case Json::value_t::object: {
      char before = '{';
      for (const auto& [name, member] : value.get_ref<const Json::object_t&>()) {
        out += before;
        if (is_plain(name)) {
          append_plain(out, name);
        } else {
          out += Json(name).dump();
        }
        out += ':';
        append(out, member, depth + 1);
        before = ',';
      }
      if (before == '{') out += before;
      out += '}';
      return;
    }
    case Json::value_t::array: {
      char before = '[';
      for (const auto& element : value.get_ref<const Json::array_t&>()) {
        out += before;
        append(out, element, depth + 1);
        before = ',';
      }
      if (before == '[') out += before;
      out += ']';
      return;
    }
    case Json::value_t::string: {
      const auto& text = value.get_ref<const Json::string_t&>();
      if (!is_plain(text)) break;
      return append_plain(out, text);
    }
    case Json::value_t::number_integer:
      return append_number(out, value.get<Json::number_integer_t>());
    case Json::value_t::number_unsigned:
      return append_number(out, value.get<Json::number_unsigned_t>());
    case Json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      return;
    case Json::value_t::discarded:
      throw std::invalid_argument("what was not parsed (Json::is_discarded) is no value");
    default:
      break;
  }
  out += value.dump();
}

}  // namespace

std::string json_text(const Json& value) {
  std::string out;
  if (value.is_string()) out.reserve(value.get_ref<const Json::string_t&>().size() + 2);
  append(out, value, 0);
  return out;
}

bool has_nul(std::string_view text) noexcept {
  return text.find('\0') != std::string_view::npos;
}

bool nests_too_deep(std::string_view text) noexcept {
  if (text.size() <= kMaxJsonDepth) return false;
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

Json json_from_text(std::string_view text) {
  if (has_nul(text) || nests_too_deep(text)) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}

}  // namespace carrel
