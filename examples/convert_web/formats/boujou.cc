#include "boujou.h"

#include <algorithm>

#include "reading.h"
#include "writing.h"

namespace tracks::boujou {
namespace {

constexpr std::string_view kTrack = "track_id";

// Where each of the four columns is.
struct Columns {
  std::size_t track = 0, view = 1, x = 2, y = 3, all = 4;
};

Columns columns_of(std::string_view line, std::size_t number) {
  const auto names = words(line.substr(1));
  const auto find = [&](std::string_view name) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it == names.end()) {
      fail(number, "the columns have no " + quoted(name) + ": " + quoted(line));
    }
    return static_cast<std::size_t>(it - names.begin());
  };
  return {find("track_id"), find("view"), find("x"), find("y"), names.size()};
}

}  // namespace

bool looks_like(std::string_view text) {
  const std::string_view start = text.substr(0, 4096);
  return start.starts_with("# boujou") || start.starts_with("# track_id") ||
         start.find("\n# track_id") != std::string_view::npos;
}

Shot read(std::string_view text, const Size& size, const Report& report) {
  Shot shot;
  Builder builder(shot, report);
  Lines lines(text);
  std::optional<Columns> columns;
  while (lines.next_full()) {
    const std::string_view line = lines.line();
    if (line[0] == '#') {
      if (line.find(kTrack) != std::string_view::npos)
        columns = columns_of(line, lines.number());
      continue;
    }
    const std::size_t at = lines.number();
    if (!columns) {
      fail(at, "there is no “# track_id view x y” before the first point");
    }
    const auto fields = words(line);
    if (fields.size() != columns->all) {
      fail(at, "a point should have " + std::to_string(columns->all) +
                   " columns, and this one has " + std::to_string(fields.size()));
    }
    builder.track(fields[columns->track], at, true);
    builder.point(
        parse_frame(fields[columns->view], at), parse_pixel(fields[columns->x], at, "x"),
        size.height - parse_pixel(fields[columns->y], at, "y"), at, lines.fraction());
  }
  builder.finish();
  return shot;
}

std::string write(const Shot& shot, const Size& size, const Report& report) {
  std::string out = "# boujou 2d tracks export: text\n# track_id    view      x      y\n";
  // A '#' would begin a comment.
  Names names([](unsigned char c) { return no_blank(c) && c != '#'; });
  Teller teller(shot, report);
  for (const Track& track : shot.tracks) {
    teller.track(track);
    const std::string name = names.of(track.name);
    for (const Point& point : track.points) {
      out += name + "  ";
      append(out, point.frame);
      out += "  ";
      append(out, point.x);
      out += "  ";
      append(out, size.height - point.y);
      out += '\n';
      teller.point();
    }
  }
  return out;
}

}  // namespace tracks::boujou
