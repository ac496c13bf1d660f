// Shake (Apple): the tracker's text file, which Nuke's CameraTracker and others write,
// too.
//
//   TrackName track1
//      Frame             X             Y   Correlation
//     121.00       379.820      1020.810         1.000
//
// Frames from 1. The origin is the lower left corner of the picture, in pixels.
//
// Sources: samples and exporter of Tracksperanto (github.com/guerilla-di/tracksperanto,
// lib/export/shake_text.rb, test/import/samples/shake_text).
#pragma once

#include "track.h"

namespace tracks::shake {

bool looks_like(std::string_view text);
Shot read(std::string_view text, const Size& size, const Report& report);
std::string write(const Shot& shot, const Size& size, const Report& report);

}  // namespace tracks::shake
