#include "samples.h"

#include <array>

namespace convert_web {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kGood{
    {{"boujou", "pan.boujou.txt"},
     {"3de", "pan.3de.txt"},
     {"pftrack", "pan.2dt"},
     {"nuke", "pan.nk"},
     {"shake", "pan.shake.txt"}}};

#define NO_FORMAT                                                                    \
  "This file is in none of the formats that are known here: boujou feature tracks, " \
  "Shake tracker text, Nuke script, PFTrack 2-D tracks, 3DEqualizer 4 tracks."

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kBroken{{
    {"broken_number.boujou.txt", "Line 9: x should be a number, and is “371.2O5”."},
    {"broken_no_columns.boujou.txt",
     "Line 2: there is no “# track_id view x y” before the first point."},
    {"broken_cut_off.3de.txt",
     "Line 40: the file ends here, and point 10 of 18 of track “window-left” should "
     "follow."},
    {"broken_count.2dt",
     "Line 35: a point should be a frame, x, y and a residual, and this is "
     "“\"window-left\"”."},
    {"broken_frame_twice.shake.txt", "Line 6: track “corner_of_roof” has frame 3 twice."},
    {"broken_no_name.shake.txt", NO_FORMAT},
    {"broken_brace.nk", "Line 8: the brace that is opened here is never closed."},
    {"broken_no_tracks.nk", "There is no track with a point in this file."},
    {"broken_other.txt", NO_FORMAT},
    {"broken_empty.txt", "This file is empty."},
}};
#undef NO_FORMAT

}  // namespace

std::optional<std::string_view> sample(std::string_view name) {
  for (const Embedded& file : samples()) {
    if (file.name == name) return file.text;
  }
  return {};
}

std::vector<Case> all_cases() {
  std::vector<Case> out;
  for (std::size_t i = 0; i < kGood.size(); ++i) {
    for (const auto& [from, name] : kGood) {
      const auto& [to, other] = kGood[i];
      out.push_back({name, to, *sample(other), {}});
    }
    // Two broken ones after every five.
    for (const std::size_t k : {2 * i, 2 * i + 1}) {
      out.push_back({kBroken[k].first, "nuke", {}, kBroken[k].second});
    }
  }
  return out;
}

}  // namespace convert_web
