// 3DEqualizer 4 (Science-D-Visions): 2-D tracks, "Export 2D Tracks", text.
//
//   8                        how many tracks
//   01                       name
//   0                        colour, an index
//   61                       how many points
//   40 407.384758 232.449012     frame, x, y
//
// Frames from 1. The origin is the lower left corner of the picture, in pixels. There is
// no comment, and no picture size.
//
// Sources: samples and exporter of Tracksperanto (github.com/guerilla-di/tracksperanto,
// lib/export/equalizer4.rb, test/import/samples/3de_v4); the reader in
// github.com/shrimo/vfx_dev, nuke/3dequalizer_to_nuke_01.py.
#pragma once

#include "track.h"

namespace tracks::equalizer {

bool looks_like(std::string_view text);
Shot read(std::string_view text, const Size& size, const Report& report);
std::string write(const Shot& shot, const Size& size, const Report& report);

}  // namespace tracks::equalizer
