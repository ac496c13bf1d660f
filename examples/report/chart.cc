#include "report/chart.h"

#include <algorithm>
#include <cmath>

#include "report/svg.h"
#include "report/text.h"

namespace report {
namespace {

constexpr double kWidth = 360, kHeight = 240;
constexpr double kLeft = 46, kTop = 28, kBottom = 40;

using Values = std::vector<std::optional<double>>;

std::optional<double> value_at(const Values& values, std::size_t i) {
  return i < values.size() ? values[i] : std::nullopt;
}

std::string tip_at(const std::vector<std::string>& tips, std::size_t i) {
  return i < tips.size() ? tips[i] : std::string();
}

double highest(const Values& values, double at_least) {
  for (const auto& v : values) {
    if (v) at_least = std::max(at_least, *v);
  }
  return at_least;
}

double lowest(const Values& values, double at_most) {
  for (const auto& v : values) {
    if (v && *v > 0) at_most = std::min(at_most, *v);
  }
  return at_most;
}

std::string line(double x1, double y1, double x2, double y2, const char* name) {
  return "<line x1=\"" + coordinate(x1) + "\" y1=\"" + coordinate(y1) + "\" x2=\"" +
         coordinate(x2) + "\" y2=\"" + coordinate(y2) + "\" class=\"" + name + "\"/>";
}

// The frame with its axes, and the places of categories and values within it.
class Plot {
 public:
  Plot(const Frame& frame, double right, double low, double high)
      : frame_(frame),
        right_(kWidth - right),
        y_(frame.y_log
               ? Scale::logarithmic(frame.y_low > 0 ? frame.y_low : low,
                                    frame.y_high > 0 ? frame.y_high : high, bottom(),
                                    kTop)
               : Scale::linear(frame.y_high > 0 ? frame.y_high : high, bottom(), kTop)) {}

  static double bottom() { return kHeight - kBottom; }
  double band() const {
    return (right_ - kLeft) /
           static_cast<double>(std::max<std::size_t>(frame_.x.size(), 1));
  }
  double x(std::size_t i) const {
    return kLeft + band() * (static_cast<double>(i) + 0.5);
  }
  double y(double value) const { return y_.at(value); }

  std::string finish(const std::string& marks) const {
    std::string out = "<svg viewBox=\"0 0 " + coordinate(kWidth) + " " +
                      coordinate(kHeight) + "\" role=\"img\" aria-label=\"" +
                      escape_html(frame_.label) + "\">\n";
    out += text_at(0, 11, "start", "axis-title", frame_.y_title);
    for (double tick : y_.ticks()) {
      out += line(kLeft, y(tick), right_, y(tick), "grid");
      out += text_at(kLeft - 6, y(tick) + 4, "end", "", tick_label(tick));
    }
    out += line(kLeft, bottom(), right_, bottom(), "axis");
    for (std::size_t i = 0; i < frame_.x.size(); ++i) {
      out += text_at(x(i), bottom() + 16, "middle", "", frame_.x[i]);
    }
    out += text_at((kLeft + right_) / 2, kHeight - 6, "middle", "axis-title",
                   frame_.x_title);
    return out + "\n" + marks + "</svg>\n";
  }

  double right() const { return right_; }

 private:
  const Frame& frame_;
  double right_;
  Scale y_;
};

// Moves labels apart so that none overlaps, in the order of their lines.
void spread(std::vector<std::pair<double, std::size_t>>& ends, double gap) {
  std::sort(ends.begin(), ends.end());
  for (std::size_t i = 1; i < ends.size(); ++i) {
    ends[i].first = std::max(ends[i].first, ends[i - 1].first + gap);
  }
  double limit = Plot::bottom();
  for (auto end = ends.rbegin(); end != ends.rend(); ++end, limit -= gap) {
    end->first = std::min(end->first, limit);
  }
}

std::string group(std::size_t style, const std::string& inside) {
  return "<g class=\"" + series_class(style) + "\">" + inside + "</g>\n";
}

}  // namespace

std::string line_chart(const Frame& frame, const std::vector<Line>& lines) {
  double high = 0, low = 1e300;
  for (const Line& l : lines) {
    high = highest(l.y, high);
    low = lowest(l.y, low);
  }
  const Plot plot(frame, 62, std::min(low, high), high);
  std::vector<std::pair<double, std::size_t>> ends;
  std::vector<std::string> drawn(lines.size());
  for (std::size_t n = 0; n < lines.size(); ++n) {
    const Line& l = lines[n];
    std::string path, marks;
    bool drawing = false;
    std::optional<double> last;
    for (std::size_t i = 0; i < frame.x.size(); ++i) {
      const auto value = value_at(l.y, i);
      if (!value) {
        drawing = false;
        continue;
      }
      path += (drawing ? "L" : "M") + coordinate(plot.x(i)) + " " +
              coordinate(plot.y(*value));
      drawing = true;
      last = plot.y(*value);
      marks += mark(l.style, plot.x(i), plot.y(*value), 4,
                    i < l.hollow.size() && l.hollow[i], tip_at(l.tips, i));
    }
    drawn[n] = "<path d=\"" + path + "\" class=\"line" + (l.dashed ? " dashed" : "") +
               "\"/>" + marks;
    if (last) ends.emplace_back(*last, n);
  }
  spread(ends, 14);
  for (auto [y, n] : ends) {
    const double x = plot.x(frame.x.size() - 1) + 10;
    drawn[n] += text_at(x, y + 4, "start", "end", shorten(lines[n].name, 12));
  }
  std::string all;
  for (std::size_t n = 0; n < lines.size(); ++n) all += group(lines[n].style, drawn[n]);
  return plot.finish(all);
}

std::string range_chart(const Frame& frame, const std::vector<Range>& ranges) {
  double high = 0, low = 1e300;
  for (const Range& r : ranges) {
    high = highest(r.high, highest(r.low, high));
    low = lowest(r.low, low);
  }
  const Plot plot(frame, 6, std::min(low, high), high);
  const double slot = plot.band() / (static_cast<double>(ranges.size()) + 1);
  std::string all;
  for (std::size_t n = 0; n < ranges.size(); ++n) {
    const Range& r = ranges[n];
    std::string drawn;
    for (std::size_t i = 0; i < frame.x.size(); ++i) {
      const auto from = value_at(r.low, i), to = value_at(r.high, i);
      if (!from || !to) continue;
      const double x = plot.x(i) - plot.band() / 2 + slot * (static_cast<double>(n) + 1);
      drawn += line(x, plot.y(*from), x, plot.y(*to), "span");
      drawn += line(x - 4, plot.y(*to), x + 4, plot.y(*to), "cap");
      drawn += mark(r.style, x, plot.y(*from), 4, false, tip_at(r.tips, i));
    }
    all += group(r.style, drawn);
  }
  return plot.finish(all);
}

std::string bar_chart(const Frame& frame, const std::vector<Bar>& bars) {
  double high = 0;
  for (const Bar& b : bars) {
    for (std::size_t i = 0; i < frame.x.size(); ++i) {
      high = std::max(
          high, value_at(b.lower, i).value_or(0) + value_at(b.upper, i).value_or(0));
    }
  }
  const Plot plot(frame, 6, 0, high);
  const double slot = plot.band() / (static_cast<double>(bars.size()) + 0.8);
  const double thick = std::min(slot * 0.78, 26.0);
  std::string all;
  for (std::size_t n = 0; n < bars.size(); ++n) {
    const Bar& b = bars[n];
    std::string drawn;
    for (std::size_t i = 0; i < frame.x.size(); ++i) {
      const auto lower = value_at(b.lower, i);
      if (!lower) continue;
      const double upper = value_at(b.upper, i).value_or(0);
      const double x =
          plot.x(i) - plot.band() / 2 + slot * (static_cast<double>(n) + 0.9) - thick / 2;
      // What is not zero is seen, however small.
      const auto rect = [&](double from, double to, const char* name) {
        const double top = std::min(plot.y(to), plot.y(from) - 1.5);
        return "<rect x=\"" + coordinate(x) + "\" y=\"" + coordinate(top) +
               "\" width=\"" + coordinate(thick) + "\" height=\"" +
               coordinate(plot.y(from) - top) + "\" class=\"" + name + "\"/>";
      };
      drawn += "<g>";
      if (*lower > 0) drawn += rect(0, *lower, "bar");
      if (upper > 0) drawn += rect(*lower, *lower + upper, "bar upper");
      if (*lower + upper <= 0) {  // a bar of no height would look like no figure
        drawn += text_at(x + thick / 2, plot.bottom() - 5, "middle", "end", "0");
      }
      drawn += "<title>" + escape_html(tip_at(b.tips, i)) + "</title></g>";
    }
    all += group(b.style, drawn);
  }
  return plot.finish(all);
}

std::string legend_mark(std::size_t style) {
  return "<svg class=\"key " + series_class(style) +
         "\" viewBox=\"0 0 16 16\" width=\"16\" height=\"16\" aria-hidden=\"true\">" +
         mark(style, 8, 8, 5) + "</svg>";
}

}  // namespace report
