#include "server/json_rows.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <stdexcept>

namespace carrel::sql::server {
namespace {

constexpr std::array kDigits{'0', '1', '2', '3', '4', '5', '6', '7',
                             '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};

constexpr std::array<std::uint8_t, 256> values_of_digits() {
  std::array<std::uint8_t, 256> values{};
  values.fill(0xff);
  for (std::uint8_t n = 0; n < 16; ++n) {
    values[static_cast<unsigned char>(kDigits[n])] = n;
    if (n >= 10) values[static_cast<std::size_t>('A' + n - 10)] = n;
  }
  return values;
}
constexpr auto kValues = values_of_digits();

void append_hex(std::string& text, std::string_view bytes) {
  std::size_t at = text.size();
  text.resize(at + 2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text[at++] = kDigits[byte >> 4];
    text[at++] = kDigits[byte & 15];
  }
}

}  // namespace

JsonRows& JsonRows::row() {
  switch (shape_) {
    case RowShape::kObjects:
      text_ += text_.empty() ? "[{" : "},{";
      break;
    case RowShape::kArrays:
      text_ += text_.empty() ? "[[" : "],[";
      break;
    case RowShape::kColumns:
      column_ = 0;
      ++rows_;
      break;
  }
  first_ = true;
  return *this;
}

std::string& JsonRows::name(std::string_view name) {
  if (shape_ == RowShape::kColumns) return next_column();
  if (!first_) text_ += ',';
  first_ = false;
  if (shape_ == RowShape::kArrays) return text_;
  text_ += '"';
  text_ += name;
  text_ += "\":";
  return text_;
}

std::string& JsonRows::next_column() {
  if (column_ == columns_.size()) columns_.emplace_back();
  Column& column = columns_[column_++];
  pad(column, rows_ - 1);
  column.text += column.text.empty() ? '{' : ',';
  ++column.rows;
  return column.text;
}

void JsonRows::pad(Column& column, std::size_t rows) {
  for (; column.rows < rows; ++column.rows) {
    column.text += column.text.empty() ? "{NULL" : ",NULL";
  }
}

JsonRows& JsonRows::add_null() {
  if (shape_ != RowShape::kObjects) name({}) += "null";
  return *this;
}

JsonRows& JsonRows::add(std::string_view key, long long number) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  name(key).append(digits.data(), end.ptr);
  return *this;
}

JsonRows& JsonRows::add(std::string_view key, std::optional<long long> number) {
  return number ? add(key, *number) : add_null();
}

JsonRows& JsonRows::add_real(std::string_view key, double number) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  name(key).append(digits.data(), end.ptr);
  return *this;
}

JsonRows& JsonRows::add_text(std::string_view key, std::string_view text) {
  std::string& out = name(key);
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 && shape_ != RowShape::kColumns) {
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
  return *this;
}

JsonRows& JsonRows::add_bytes(std::string_view key, std::string_view bytes) {
  std::string& out = name(key);
  out += '"';
  append_hex(out, bytes);
  out += '"';
  return *this;
}

JsonRows& JsonRows::add_bytes(std::string_view key, const std::string* bytes) {
  return bytes != nullptr ? add_bytes(key, *bytes) : add_null();
}

bool JsonRows::full() const noexcept {
  std::size_t bytes = text_.size();
  for (const Column& column : columns_) bytes += column.text.size();
  return bytes >= kFull;
}

std::string JsonRows::take() {
  if (shape_ == RowShape::kColumns) return take_columns();
  std::string text = std::move(text_);
  text += text.empty() ? "[]" : shape_ == RowShape::kArrays ? "]]" : "}]";
  text_.clear();
  first_ = true;
  return text;
}

std::string JsonRows::take_columns() {
  std::string text = "{";
  for (Column& column : columns_) {
    pad(column, rows_);
    if (text.size() > 1) text += ',';
    text += '"';
    for (const char c : column.text) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += "}\"";
  }
  text += '}';
  columns_.clear();
  rows_ = 0;
  return text;
}

bool is_text(std::string_view bytes) noexcept {
  std::size_t i = 0;
  const auto at = [&](std::size_t n) { return static_cast<unsigned char>(bytes[n]); };
  while (i < bytes.size()) {
    const unsigned lead = at(i);
    if (lead == 0) return false;
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || i + more >= bytes.size()) return false;
    std::uint32_t code = lead & (0x3fU >> more);
    for (std::size_t n = 1; n <= more; ++n) {
      if ((at(i + n) & 0xc0U) != 0x80) return false;
      code = code << 6 | (at(i + n) & 0x3fU);
    }
    constexpr std::array<std::uint32_t, 4> kLeast{0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      return false;
    }
    i += more + 1;
  }
  return true;
}

std::string to_hex(std::string_view bytes) {
  std::string digits;
  append_hex(digits, bytes);
  return digits;
}

std::string from_hex(std::string_view digits) {
  std::string bytes;
  bytes.resize(digits.size() / 2);
  std::uint8_t wrong = digits.size() % 2;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint8_t high = kValues[static_cast<unsigned char>(digits[2 * i])];
    const std::uint8_t low = kValues[static_cast<unsigned char>(digits[2 * i + 1])];
    wrong |= (high | low) & 0xf0U;
    bytes[i] = static_cast<char>(high << 4 | (low & 15));
  }
  if (wrong != 0) throw std::runtime_error("stored bytes are not hexadecimal");
  return bytes;
}

}  // namespace carrel::sql::server
