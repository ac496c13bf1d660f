// Charts as self-contained SVG, drawn 360 units wide so that their text stays readable on
// a phone; a wide page sets several side by side.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace report {

// What all charts have. `x` are categories, evenly spaced. To compare charts side by
// side, give them the same `y_low` and `y_high`.
struct Frame {
  std::string label;  // said by screen readers; a sentence
  std::string x_title;
  std::string y_title;  // with its unit
  std::vector<std::string> x;
  double y_high = 0;  // 0: from the data
  double y_low = 0;   // of a logarithmic axis; 0: from the data
  bool y_log = false;
};

// One value a category; absent ones leave a gap.
struct Line {
  std::string name;
  std::size_t style = 0;
  bool dashed = false;  // for what the others are measured against
  std::vector<std::optional<double>> y;
  std::vector<bool> hollow = {};  // drawn as an outline: a figure with a reservation
  std::vector<std::string> tips = {};
};
// Names stand at the lines' ends.
std::string line_chart(const Frame& frame, const std::vector<Line>& lines);

// From `low` (the mark) up to `high` (the cap).
struct Range {
  std::string name;
  std::size_t style = 0;
  std::vector<std::optional<double>> low;
  std::vector<std::optional<double>> high;
  std::vector<std::string> tips = {};
};
std::string range_chart(const Frame& frame, const std::vector<Range>& ranges);

// Bars side by side in each category; `lower` is filled, `upper` stands on it, lighter. A
// bar of zero is the figure 0.
struct Bar {
  std::string name;
  std::size_t style = 0;
  std::vector<std::optional<double>> lower;
  std::vector<std::optional<double>> upper = {};
  std::vector<std::string> tips = {};
};
std::string bar_chart(const Frame& frame, const std::vector<Bar>& bars);

// The mark of a series, as a small inline SVG for a legend.
std::string legend_mark(std::size_t style);

}  // namespace report
