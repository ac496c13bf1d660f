// Tables on a terminal: aligned, coloured where that helps, never wider than the window.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report/table.h"

namespace report {

struct Terminal {
  std::size_t width = 100;  // columns
  bool colour = false;      // ANSI colours
  bool live = false;        // a line may be drawn and replaced

  // Of a file descriptor: its window's width, and colour unless NO_COLOR is set. What is
  // no terminal has the width COLUMNS says, or 100, and no colour.
  static Terminal of(int fd);
};

// The columns of `columns` that fit, by index: those with the highest `drop` go first.
std::vector<std::size_t> fitting(const std::vector<Column>& columns, std::size_t width);

// All of these end with a newline. A text wider than its column widens its row only.
std::string title_line(const Terminal& terminal, const std::string& title);
std::string head_line(const Terminal& terminal, const std::vector<Column>& columns);
std::string row_line(const Terminal& terminal, const std::vector<Column>& columns,
                     const Row& row);
// Wrapped to the window, indented by `indent`.
std::string paragraph(const Terminal& terminal, const std::string& text,
                      std::size_t indent = 0, Tone tone = Tone::kPlain);
std::string toned(const Terminal& terminal, const std::string& text, Tone tone);

// Replaces the line that the cursor is on; nothing where the terminal is not live.
std::string live_line(const Terminal& terminal, const std::string& text);

}  // namespace report
