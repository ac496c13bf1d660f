#include "equalizer.h"

#include "reading.h"
#include "writing.h"

namespace tracks::equalizer {
namespace {

// The next line, or: the file ended where `what` should have been.
void need(Lines& lines, const std::string& what) {
  if (!lines.next_full()) {
    fail(lines.number(), "the file ends here, and " + what + " should follow");
  }
}

}  // namespace

bool looks_like(std::string_view text) {
  Lines lines(text);
  return lines.next_full() && is_count(lines.line()) && lines.next_full() &&
         lines.next_full() && is_count(lines.line());
}

Shot read(std::string_view text, const Size&, const Report& report) {
  Shot shot;
  Builder builder(shot, report);
  Lines lines(text);
  need(lines, "the number of tracks");
  const std::size_t all =
      parse_count(lines.line(), lines.number(), "the number of tracks", kMaxTracks);
  for (std::size_t i = 1; i <= all; ++i) {
    const std::string which = "track " + std::to_string(i) + " of " + std::to_string(all);
    need(lines, which);
    builder.track(lines.line(), lines.number());
    need(lines, "the colour of " + which);
    parse_count(lines.line(), lines.number(), "the colour of a track", 1'000'000);
    need(lines, "the number of points of " + which);
    const std::size_t points = parse_count(lines.line(), lines.number(),
                                           "the number of points of a track", kMaxPoints);
    for (std::size_t k = 1; k <= points; ++k) {
      need(lines, "point " + std::to_string(k) + " of " + std::to_string(points) +
                      " of track " + quoted(builder.name()));
      const auto fields = words(lines.line());
      if (fields.size() != 3) {
        fail(lines.number(),
             "a point should be a frame, x and y, and this is " + quoted(lines.line()));
      }
      builder.point(parse_frame(fields[0], lines.number()),
                    parse_pixel(fields[1], lines.number(), "x"),
                    parse_pixel(fields[2], lines.number(), "y"), lines.number(),
                    lines.fraction());
    }
  }
  if (lines.next_full()) {
    fail(lines.number(), "there is more than the " + std::to_string(all) +
                             " tracks that the first line tells of");
  }
  builder.finish();
  return shot;
}

std::string write(const Shot& shot, const Size&, const Report& report) {
  std::string out = std::to_string(shot.tracks.size()) + "\n";
  Names names([](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  Teller teller(shot, report);
  for (const Track& track : shot.tracks) {
    teller.track(track);
    out += names.of(track.name) + "\n0\n" + std::to_string(track.points.size()) + "\n";
    for (const Point& point : track.points) {
      append(out, point.frame);
      out += ' ';
      append(out, point.x);
      out += ' ';
      append(out, point.y);
      out += '\n';
      teller.point();
    }
  }
  return out;
}

}  // namespace tracks::equalizer
