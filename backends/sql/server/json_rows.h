// Many rows as one parameter of a statement: a JSON array of objects, or what a server
// reads faster.
#pragma once

#include <carrel/result.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace carrel::sql::server {

enum class RowShape : std::uint8_t {
  kObjects,  // JSON
  kArrays,   // JSON: of arrays
  kColumns,  // PostgreSQL's text[]: of the columns, each of which is an array as text
};

// Names are written as they are; a member that is not added, or is nullopt, is NULL in
// its row. In other shapes than objects a member's place is its number among those that
// were added: all that come before the last one are.
class JsonRows {
 public:
  explicit JsonRows(RowShape shape = RowShape::kObjects) : shape_(shape) {}

  JsonRows& row();  // begins the next
  JsonRows& add(std::string_view name, long long number);
  JsonRows& add(std::string_view name, std::optional<long long> number);
  JsonRows& add_real(std::string_view name, double number);
  // UTF-8 without a NUL, and nothing else: the databases take no other text.
  JsonRows& add_text(std::string_view name, std::string_view text);
  // Any bytes, as two hexadecimal digits each.
  JsonRows& add_bytes(std::string_view name, std::string_view bytes);
  JsonRows& add_bytes(std::string_view name, const std::string* bytes);  // null: nullopt

  bool empty() const noexcept { return text_.empty() && columns_.empty(); }
  // Enough for one statement: a server has a limit, and others wait meanwhile.
  bool full() const noexcept;
  static constexpr std::size_t kFull = 1U << 20;  // bytes
  // All of it; begins anew.
  std::string take();

 private:
  std::string& name(std::string_view name);  // to write the value to
  std::string& next_column();
  JsonRows& add_null();
  std::string take_columns();
  RowShape shape_;
  std::string text_;
  bool first_ = true;  // of this row's members

  // Of kColumns, each without its last brace.
  struct Column {
    std::string text;
    std::size_t rows = 0;
  };
  static void pad(Column& column, std::size_t rows);
  std::vector<Column> columns_;
  std::size_t column_ = 0;  // the next of this row
  std::size_t rows_ = 0;
};

// Whether a database can store it as text.
bool is_text(std::string_view bytes) noexcept;

// Two hexadecimal digits a byte.
std::string to_hex(std::string_view bytes);

// What add_bytes() writes, back to bytes. Throws std::runtime_error on anything else.
std::string from_hex(std::string_view digits);

}  // namespace carrel::sql::server
