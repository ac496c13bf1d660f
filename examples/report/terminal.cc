#include "report/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "report/text.h"

namespace report {
namespace {

constexpr std::size_t kGap = 2;

std::size_t column_width(const Column& column) {
  return std::max(column.min_width, width(column.head));
}

std::string padded(const std::string& text, std::size_t to, Align align) {
  const std::size_t have = width(text);
  const std::string fill(to > have ? to - have : 0, ' ');
  return align == Align::kLeft ? text + fill : fill + text;
}

void trim_right(std::string& line) { line.erase(line.find_last_not_of(' ') + 1); }

}  // namespace

Terminal Terminal::of(int fd) {
  Terminal terminal;
  if (::isatty(fd) == 0) {
    if (const char* columns = std::getenv("COLUMNS")) {
      const long asked = std::strtol(columns, nullptr, 10);
      if (asked >= 20) terminal.width = static_cast<std::size_t>(asked);
    }
    return terminal;
  }
  winsize window{};
  if (::ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
    terminal.width = window.ws_col;
  }
  const char* kind = std::getenv("TERM");
  terminal.live = kind != nullptr && std::strcmp(kind, "dumb") != 0;
  const char* no_colour = std::getenv("NO_COLOR");
  terminal.colour = terminal.live && (no_colour == nullptr || *no_colour == '\0');
  return terminal;
}

std::vector<std::size_t> fitting(const std::vector<Column>& columns, std::size_t width) {
  std::vector<std::size_t> kept(columns.size());
  for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = i;
  while (true) {
    std::size_t total = 0;
    for (std::size_t i : kept) total += column_width(columns[i]) + kGap;
    auto worst = std::max_element(kept.begin(), kept.end(), [&](auto a, auto b) {
      return columns[a].drop < columns[b].drop;
    });
    if (total <= width + kGap || worst == kept.end() || columns[*worst].drop == 0) {
      return kept;
    }
    kept.erase(worst);
  }
}

std::string toned(const Terminal& terminal, const std::string& text, Tone tone) {
  if (!terminal.colour || tone == Tone::kPlain || text.empty()) return text;
  const char* code = tone == Tone::kDim    ? "2"
                     : tone == Tone::kGood ? "32"
                     : tone == Tone::kBad  ? "1;31"
                                           : "1";
  return std::string("\033[") + code + "m" + text + "\033[0m";
}

std::string title_line(const Terminal& terminal, const std::string& title) {
  const std::string text = shorten(title, terminal.width);
  const std::size_t used = width(text) + 1;
  std::string rule;
  for (std::size_t i = used; i < std::min<std::size_t>(terminal.width, 100); ++i) {
    rule += "─";
  }
  return toned(terminal, text, Tone::kStrong) + " " + toned(terminal, rule, Tone::kDim) +
         "\n";
}

std::string head_line(const Terminal& terminal, const std::vector<Column>& columns) {
  std::string line;
  for (std::size_t i : fitting(columns, terminal.width)) {
    if (!line.empty()) line.append(kGap, ' ');
    line += padded(columns[i].head, column_width(columns[i]), columns[i].align);
  }
  trim_right(line);
  return toned(terminal, line, Tone::kDim) + "\n";
}

std::string row_line(const Terminal& terminal, const std::vector<Column>& columns,
                     const Row& row) {
  std::string line;
  for (std::size_t i : fitting(columns, terminal.width)) {
    if (!line.empty()) line.append(kGap, ' ');
    // Padded before it is coloured: escape codes fill no columns.
    line += toned(terminal,
                  padded(row.cells[i].text, column_width(columns[i]), columns[i].align),
                  row.cells[i].tone);
  }
  trim_right(line);
  return line + "\n";
}

std::string paragraph(const Terminal& terminal, const std::string& text,
                      std::size_t indent, Tone tone) {
  const std::size_t room = std::min<std::size_t>(terminal.width, 100);
  std::string out;
  for (const std::string& line : wrap(text, room > indent ? room - indent : 20)) {
    out += std::string(indent, ' ') + toned(terminal, line, tone) + "\n";
  }
  return out;
}

std::string live_line(const Terminal& terminal, const std::string& text) {
  if (!terminal.live) return {};
  return "\r\033[K" + toned(terminal, shorten(text, terminal.width - 1), Tone::kDim);
}

}  // namespace report
