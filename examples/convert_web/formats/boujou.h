// boujou (2d3): feature tracks, "File > Export > Feature tracks", text.
//
//   # boujou 2d tracks export: text
//   # track_id    view      x    y
//   Target_track_1  5  252.046  171.677
//
// One line a point, the columns in the order of the comment that names them. Lines of one
// track need not follow each other. `view` is the frame, numbered as a Shake script of
// the same export is. y is counted from the top, so that the picture's height is needed:
// y = height - y'. (The two exports of one shot, 576 lines high, say 171.677 and
// 404.323.)
//
// Sources: samples and importer of Tracksperanto (github.com/guerilla-di/tracksperanto,
// lib/import/boujou.rb, test/import/samples/boujou_features_text and shake_script, both
// of the same shot); animfast.blogspot.com/2009/04/boujou-tracking.html.
#pragma once

#include "track.h"

namespace tracks::boujou {

bool looks_like(std::string_view text);
Shot read(std::string_view text, const Size& size, const Report& report);
std::string write(const Shot& shot, const Size& size, const Report& report);

}  // namespace tracks::boujou
