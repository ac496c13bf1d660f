// Many rows as one parameter of a statement: a JSON array of objects, or of arrays, which
// some servers read faster.
#pragma once

#include <carrel/result.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace carrel::sql::server {

// Names are written as they are; a member that is not added, or is nullopt, is NULL in
// its row. In an array a member's place is its number among those that were added: all
// that come before the last one are.
class JsonRows {
 public:
  explicit JsonRows(bool arrays = false) : arrays_(arrays) {}

  JsonRows& row();  // begins the next
  JsonRows& add(std::string_view name, long long number);
  JsonRows& add(std::string_view name, std::optional<long long> number);
  JsonRows& add_real(std::string_view name, double number);
  // UTF-8 without a NUL, and nothing else: the databases take no other text.
  JsonRows& add_text(std::string_view name, std::string_view text);
  // Any bytes, as two hexadecimal digits each.
  JsonRows& add_bytes(std::string_view name, std::string_view bytes);
  JsonRows& add_bytes(std::string_view name, const std::string* bytes);  // null: nullopt

  bool empty() const noexcept { return text_.empty(); }
  // Enough for one statement: a server has a limit, and others wait meanwhile.
  bool full() const noexcept { return text_.size() >= kFull; }
  static constexpr std::size_t kFull = 1U << 20;  // bytes
  // The array; begins anew.
  std::string take();

 private:
  void name(std::string_view name);
  JsonRows& add_null();
  bool arrays_;
  std::string text_;
  bool first_ = true;  // of this row's members
};

// Whether a database can store it as text.
bool is_text(std::string_view bytes) noexcept;

// Two hexadecimal digits a byte.
std::string to_hex(std::string_view bytes);

// What add_bytes() writes, back to bytes. Throws std::runtime_error on anything else.
std::string from_hex(std::string_view digits);

}  // namespace carrel::sql::server
