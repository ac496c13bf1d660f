// PFTrack and PFMatchit (The Pixel Farm): 2-D feature tracks, .2dt.
//
//   # format: …              comments
//   "Feature1"               name
//   "Primary"                camera: left out by version 4, a number in PFMatchit
//   37                       how many points
//   1 356.268 150.052 0.000  frame, x, y, residual
//
// A stereo pair has a camera, a number and points twice after one name; the second one's
// track is called name_camera here. Pixels are counted between their centres: the centre
// of the lower left pixel is 0, 0, half a pixel from the corner, so x = x' + 0.5 and
// y = y' + 0.5. Frames are those of the clip.
//
// Sources: samples, importer and exporter of Tracksperanto (github.com/guerilla-di/
// tracksperanto, lib/tracksperanto/pf_coords.rb, lib/import/pftrack.rb,
// test/import/samples/pftrack4, pftrack5, pfmatchit).
#pragma once

#include "track.h"

namespace tracks::pftrack {

bool looks_like(std::string_view text);
Shot read(std::string_view text, const Size& size, const Report& report);
std::string write(const Shot& shot, const Size& size, const Report& report);

}  // namespace tracks::pftrack
