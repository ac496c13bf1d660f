// The pieces that charts are drawn from: coordinates, scales, marks. Colours are never
// set here: an element carries the class "s0" … "s5" of its series, and the page's style
// gives that class a colour, so that one drawing serves light and dark.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace report {

inline constexpr std::size_t kStyles = 6;  // colours and marks before they repeat

std::string series_class(std::size_t style);  // "s0"

// A coordinate, in tenths.
std::string coordinate(double value);

// Where values go: `at(value)` is a coordinate between `from` (of `low`) and `to` (of
// `high`).
class Scale {
 public:
  // Linear from zero to a round number at or above `high`.
  static Scale linear(double high, double from, double to);
  // Logarithmic, between the steps of 1, 2, 5 that enclose both. Where they are not above
  // zero, as of no figures at all, it is a decade that ends at `high`, or at 1.
  static Scale logarithmic(double low, double high, double from, double to);

  double at(double value) const;  // values outside are moved to the edge
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  double low_ = 0, high_ = 1, from_ = 0, to_ = 1;
  bool log_ = false;
  std::vector<double> ticks_;
};

// A tick's label: "1,500", "0.5".
std::string tick_label(double value);

// Each style has a mark of its own, so that no reading depends on colour: circle, square,
// diamond, triangle, triangle down, cross. `hollow`: outlined only.
std::string mark(std::size_t style, double x, double y, double size, bool hollow = false,
                 std::string_view tooltip = {});

std::string text_at(double x, double y, std::string_view anchor, std::string_view classes,
                    std::string_view text);

}  // namespace report
