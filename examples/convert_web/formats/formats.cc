#include "formats.h"

#include <algorithm>
#include <array>

#include "boujou.h"
#include "equalizer.h"
#include "nuke.h"
#include "pftrack.h"
#include "reading.h"
#include "shake.h"

namespace tracks {
namespace {

// In the order in which a file is asked what it is: the surest signs first.
constexpr std::array kFormats{
    Format{"boujou", "boujou feature tracks", ".txt", boujou::looks_like, boujou::read,
           boujou::write},
    Format{"shake", "Shake tracker text", ".txt", shake::looks_like, shake::read,
           shake::write},
    Format{"nuke", "Nuke script", ".nk", nuke::looks_like, nuke::read, nuke::write},
    Format{"pftrack", "PFTrack 2-D tracks", ".2dt", pftrack::looks_like, pftrack::read,
           pftrack::write},
    Format{"3de", "3DEqualizer 4 tracks", ".txt", equalizer::looks_like, equalizer::read,
           equalizer::write},
};

const Format& format_of(std::string_view text, const std::string& from) {
  if (!from.empty()) {
    if (const Format* format = find_format(from)) return *format;
    fail(0, "there is no format " + quoted(from));
  }
  for (const Format& format : kFormats) {
    if (format.looks_like(text)) return format;
  }
  std::string names;
  for (const Format& format : kFormats) {
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  fail(0, "this file is in none of the formats that are known here: " + names);
}

void shift(Shot& shot, int by) {
  for (Track& track : shot.tracks) {
    for (Point& point : track.points) point.frame += by;
  }
}

Converted convert_or_throw(std::string_view text, const Request& request,
                           const Report& report) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    fail(0, "this file is empty");
  }
  if (text.find('\0') != std::string_view::npos) {
    fail(0, "this is no text file: it has bytes of value zero in it");
  }
  const Format* to = find_format(request.to);
  if (to == nullptr) fail(0, "there is no format " + quoted(request.to));
  const Format& from = format_of(text, request.from);
  Shot shot = from.read(text, request.size, [&](double fraction, std::string_view doing) {
    report(fraction / 2, doing);
  });
  Converted out;
  out.from = from.id;
  out.size = shot.size.value_or(request.size);
  out.notes = shot.notes;
  if (shot.size && *shot.size != request.size) {
    out.notes.push_back("The file says that the picture is " +
                        std::to_string(out.size.width) + " × " +
                        std::to_string(out.size.height) + ".");
  }
  shift(shot, request.shift);
  out.first = shot.tracks[0].points[0].frame;
  out.last = out.first;
  for (const Track& track : shot.tracks) {
    out.points += track.points.size();
    out.first = std::min(out.first, track.points.front().frame);
    out.last = std::max(out.last, track.points.back().frame);
  }
  out.tracks = shot.tracks.size();
  out.text = to->write(shot, out.size, [&](double fraction, std::string_view doing) {
    report(0.5 + fraction / 2, doing);
  });
  report(1, "done");
  return out;
}

}  // namespace

std::span<const Format> formats() { return kFormats; }

const Format* find_format(std::string_view id) {
  const auto it = std::find_if(kFormats.begin(), kFormats.end(),
                               [&](const Format& format) { return format.id == id; });
  return it == kFormats.end() ? nullptr : &*it;
}

tl::expected<Converted, Trouble> convert(std::string_view text, const Request& request,
                                         const Report& report) {
  try {
    return convert_or_throw(text, request, report);
  } catch (Trouble& trouble) {
    return tl::unexpected(std::move(trouble));
  }
}

}  // namespace tracks
