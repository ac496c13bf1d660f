#include "pftrack.h"

#include "reading.h"
#include "writing.h"

namespace tracks::pftrack {
namespace {

constexpr double kHalf = 0.5;

bool is_quoted(std::string_view line) {
  return line.size() >= 2 && line.front() == '"' && line.back() == '"';
}

std::string_view unquoted(std::string_view line) {
  return is_quoted(line) ? line.substr(1, line.size() - 2) : line;
}

// The next line that says something; false: none.
bool next(Lines& lines) {
  while (lines.next_full()) {
    if (lines.line()[0] != '#') return true;
  }
  return false;
}

std::string_view peek(const Lines& lines) {
  Lines ahead = lines;
  return next(ahead) ? ahead.line() : std::string_view();
}

void need(Lines& lines, const std::string& what) {
  if (!next(lines)) {
    fail(lines.number(), "the file ends here, and " + what + " should follow");
  }
}

// At the line with their number; reads so many points.
void read_points(Lines& lines, Builder& builder) {
  const std::size_t points =
      parse_count(lines.line(), lines.number(),
                  "the number of points of track " + quoted(builder.name()), kMaxPoints);
  for (std::size_t k = 1; k <= points; ++k) {
    need(lines, "point " + std::to_string(k) + " of " + std::to_string(points) +
                    " of track " + quoted(builder.name()));
    const auto fields = words(lines.line());
    if (fields.size() != 4 && fields.size() != 3) {
      fail(lines.number(),
           "a point should be a frame, x, y and a residual, and this is " +
               quoted(lines.line()));
    }
    builder.point(parse_frame(fields[0], lines.number()),
                  parse_pixel(fields[1], lines.number(), "x") + kHalf,
                  parse_pixel(fields[2], lines.number(), "y") + kHalf, lines.number(),
                  lines.fraction());
  }
}

}  // namespace

bool looks_like(std::string_view text) {
  Lines lines(text);
  if (!next(lines) || !is_quoted(lines.line()) || !next(lines)) return false;
  return is_quoted(lines.line()) || is_count(lines.line());
}

Shot read(std::string_view text, const Size&, const Report& report) {
  Shot shot;
  Builder builder(shot, report);
  Lines lines(text);
  while (next(lines)) {
    if (!is_quoted(lines.line())) {
      fail(lines.number(),
           "here should be a track's name in quotes, and is " + quoted(lines.line()));
    }
    const std::string name(unquoted(lines.line()));
    builder.track(name, lines.number());
    need(lines, "the camera or the number of points of track " + quoted(name));
    // A number is a camera if another number, alone on its line, follows.
    const bool camera = is_quoted(lines.line()) || is_count(peek(lines));
    if (!camera) {
      read_points(lines, builder);
      continue;
    }
    need(lines, "the number of points of track " + quoted(name));
    read_points(lines, builder);
    // The other eye: a camera and a number, where a track would have a camera between.
    for (Lines ahead = lines; next(ahead) && is_quoted(ahead.line());) {
      const std::string eye = name + "_" + std::string(unquoted(ahead.line()));
      const std::size_t at = ahead.number();
      if (!next(ahead) || !is_count(ahead.line()) || is_count(peek(ahead))) break;
      builder.track(eye, at);
      read_points(ahead, builder);
      lines = ahead;
    }
  }
  builder.finish();
  return shot;
}

std::string write(const Shot& shot, const Size&, const Report& report) {
  std::string out =
      "# format:\r\n# \"name\"\r\n# \"camera\"\r\n# <number of frames>\r\n"
      "# <frame number> <x pixel> <y pixel> <residual>\r\n";
  Names names(no_quote);
  Teller teller(shot, report);
  for (const Track& track : shot.tracks) {
    teller.track(track);
    out += "\r\n\"" + names.of(track.name) + "\"\r\n\"Primary\"\r\n" +
           std::to_string(track.points.size()) + "\r\n";
    for (const Point& point : track.points) {
      append(out, point.frame);
      out += ' ';
      append(out, point.x - kHalf);
      out += ' ';
      append(out, point.y - kHalf);
      out += " 0.000\r\n";
      teller.point();
    }
  }
  return out;
}

}  // namespace tracks::pftrack
