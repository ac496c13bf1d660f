// A table on standard output: columns as wide as their widest cell, the last one cut to
// the terminal.
#pragma once

#include <string>
#include <vector>

#include "text.h"

namespace carrel::cli {

struct Cell {
  std::string text;
  Colour colour = Colour::kNone;
};

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string head;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<Cell> row);  // one cell a column; control characters are dropped
  bool empty() const noexcept { return rows_.empty(); }
  void print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// The terminal's width; a very large number where the output is none.
std::size_t output_width();

}  // namespace carrel::cli
