#include "table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace carrel::cli {
namespace {

constexpr std::size_t kUnbounded = 1'000'000;
constexpr std::size_t kGap = 2;

}  // namespace

std::size_t output_width() {
  winsize size{};
  if (!is_terminal(stdout) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 ||
      size.ws_col == 0) {
    return kUnbounded;
  }
  return size.ws_col;
}

void Table::add(std::vector<Cell> row) {
  for (Cell& cell : row) cell.text = printable(cell.text);
  row.resize(columns_.size());
  rows_.push_back(std::move(row));
}

void Table::print() const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t widest = width(columns_[c].head);
    for (const auto& row : rows_) widest = std::max(widest, width(row[c].text));
    widths.push_back(widest);
  }
  const std::size_t total = output_width();
  const auto print_row = [&](const std::vector<Cell>& row) {
    std::string line;
    std::size_t used = 0;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const bool last = c + 1 == row.size();
      std::string text = row[c].text;
      if (last && used + width(text) > total) {
        text = cut(text, std::max<std::size_t>(total > used ? total - used : 1, 8));
      }
      const std::size_t pad = widths[c] > width(text) ? widths[c] - width(text) : 0;
      const std::string shown = coloured(text, row[c].colour, stdout);
      if (columns_[c].align == Align::kRight) {
        line.append(pad, ' ').append(shown);
      } else {
        line.append(shown);
        if (!last) line.append(pad, ' ');
      }
      if (!last) line.append(kGap, ' ');
      used += widths[c] + kGap;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::printf("%s\n", line.c_str());
  };
  std::vector<Cell> head;
  for (const Column& column : columns_) head.push_back({column.head, Colour::kBold});
  print_row(head);
  for (const auto& row : rows_) print_row(row);
}

}  // namespace carrel::cli
