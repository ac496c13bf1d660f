#include "report/svg.h"

#include <algorithm>
#include <cmath>

#include "report/text.h"

namespace report {
namespace {

// 1, 2 or 5 times a power of ten.
double step_above(double value) {
  const double decade = std::pow(10, std::floor(std::log10(value)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * decade >= value * (1 - 1e-9)) return factor * decade;
  }
  return 10 * decade;
}

double step_below(double value) {
  const double decade = std::pow(10, std::floor(std::log10(value)));
  for (double factor : {5.0, 2.0}) {
    if (factor * decade <= value * (1 + 1e-9)) return factor * decade;
  }
  return decade;
}

std::string points(std::initializer_list<std::pair<double, double>> corners) {
  std::string out;
  for (auto [x, y] : corners) {
    if (!out.empty()) out += ' ';
    out += coordinate(x) + "," + coordinate(y);
  }
  return "<polygon points=\"" + out + "\"";
}

std::string shape(std::size_t style, double x, double y, double r) {
  switch (style % kStyles) {
    case 0:
      return "<circle cx=\"" + coordinate(x) + "\" cy=\"" + coordinate(y) + "\" r=\"" +
             coordinate(r) + "\"";
    case 1:
      return points({{x - r, y - r}, {x + r, y - r}, {x + r, y + r}, {x - r, y + r}});
    case 2:
      return points(
          {{x, y - r * 1.35}, {x + r * 1.35, y}, {x, y + r * 1.35}, {x - r * 1.35, y}});
    case 3:
      return points(
          {{x, y - r * 1.2}, {x + r * 1.2, y + r * 0.9}, {x - r * 1.2, y + r * 0.9}});
    case 4:
      return points(
          {{x, y + r * 1.2}, {x + r * 1.2, y - r * 0.9}, {x - r * 1.2, y - r * 0.9}});
    default: {
      const double t = r * 0.4;
      return points({{x - t, y - r},
                     {x + t, y - r},
                     {x + t, y - t},
                     {x + r, y - t},
                     {x + r, y + t},
                     {x + t, y + t},
                     {x + t, y + r},
                     {x - t, y + r},
                     {x - t, y + t},
                     {x - r, y + t},
                     {x - r, y - t},
                     {x - t, y - t}});
    }
  }
}

}  // namespace

std::string series_class(std::size_t style) {
  return "s" + std::to_string(style % kStyles);
}

std::string coordinate(double value) {
  std::string text = fixed(value, 1);
  if (text.size() > 2 && text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

Scale Scale::linear(double high, double from, double to) {
  Scale scale;
  const double step = step_above(std::max(high, 1e-9) / 5);
  const auto steps = static_cast<int>(std::ceil(std::max(high, 1e-9) / step - 1e-9));
  for (int i = 0; i <= steps; ++i) scale.ticks_.push_back(i * step);
  scale.high_ = steps * step;
  scale.from_ = from;
  scale.to_ = to;
  return scale;
}

Scale Scale::logarithmic(double low, double high, double from, double to) {
  Scale scale;
  scale.log_ = true;
  if (!(high > 0)) high = 1;  // nothing was measured, or only zeros
  if (!(low > 0 && low <= high)) low = high / 10;
  const double first = step_below(low);
  const double last = std::max(step_above(high), first * 2);
  for (double at = first; at <= last * (1 + 1e-9); at = step_above(at * 1.01)) {
    scale.ticks_.push_back(at);
  }
  if (scale.ticks_.size() > 7) {  // too close to read: only the decades, and the ends
    std::erase_if(scale.ticks_, [&](double t) {
      return step_below(t) != std::pow(10, std::round(std::log10(t)));
    });
  }
  scale.low_ = std::log10(first);
  scale.high_ = std::log10(last);
  scale.from_ = from;
  scale.to_ = to;
  return scale;
}

double Scale::at(double value) const {
  const double v = log_ ? std::log10(std::max(value, 1e-300)) : value;
  const double share = std::clamp((v - low_) / (high_ - low_), 0.0, 1.0);
  return from_ + share * (to_ - from_);
}

std::string tick_label(double value) {
  if (value >= 1000) return grouped(static_cast<unsigned long long>(std::llround(value)));
  std::string text = fixed(value, 3);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string mark(std::size_t style, double x, double y, double size, bool hollow,
                 std::string_view tooltip) {
  std::string out = shape(style, x, y, size);
  out += hollow ? " class=\"mark hollow\"" : " class=\"mark\"";
  if (tooltip.empty()) return out + "/>";
  const std::string tag = out.substr(1, out.find(' ') - 1);
  return out + "><title>" + escape_html(tooltip) + "</title></" + tag + ">";
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view classes,
                    std::string_view text) {
  std::string out =
      "<text x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) + "\" text-anchor=\"";
  out += anchor;
  out += "\"";
  if (!classes.empty()) out.append(" class=\"").append(classes).append("\"");
  return out + ">" + escape_html(text) + "</text>";
}

}  // namespace report
