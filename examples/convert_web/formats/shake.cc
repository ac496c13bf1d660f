#include "shake.h"

#include <cstdio>

#include "reading.h"
#include "writing.h"

namespace tracks::shake {
namespace {
constexpr std::string_view kName = "TrackName";
}

bool looks_like(std::string_view text) {
  Lines lines(text);
  return lines.next_full() && lines.line().starts_with(kName);
}

Shot read(std::string_view text, const Size&, const Report& report) {
  Shot shot;
  Builder builder(shot, report);
  Lines lines(text);
  while (lines.next_full()) {
    const std::size_t at = lines.number();
    if (lines.line().starts_with(kName)) {
      const auto rest = lines.line().substr(kName.size());
      const std::size_t from = std::min(rest.find_first_not_of(" \t"), rest.size());
      builder.track(rest.substr(from), at);
      continue;
    }
    const auto fields = words(lines.line());
    if (fields[0] == "Frame") continue;  // the head of the columns
    if (!builder.has_track()) fail(at, "there is a point before the first “TrackName”");
    if (fields.size() != 4 && fields.size() != 3) {
      fail(at, "a point should be a frame, x, y and a correlation, and this is " +
                   quoted(lines.line()));
    }
    builder.point(parse_frame(fields[0], at), parse_pixel(fields[1], at, "x"),
                  parse_pixel(fields[2], at, "y"), at, lines.fraction());
  }
  builder.finish();
  return shot;
}

std::string write(const Shot& shot, const Size&, const Report& report) {
  std::string out;
  Names names([](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  Teller teller(shot, report);
  for (const Track& track : shot.tracks) {
    teller.track(track);
    out += "TrackName " + names.of(track.name) +
           "\n   Frame             X             Y   Correlation\n";
    for (const Point& point : track.points) {
      char line[160];
      std::snprintf(line, sizeof line, "%8d.00 %16.6f %16.6f         1.000\n",
                    point.frame, point.x, point.y);
      out += line;
      teller.point();
    }
    out += '\n';
  }
  return out;
}

}  // namespace tracks::shake
