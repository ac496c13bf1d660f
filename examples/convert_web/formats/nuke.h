// Nuke (The Foundry): the tracks in a script, .nk, or in what its nodes copy.
//
//   Tracker4 { tracks { { 1 31 1 } { { 5 1 20 enable e } … } { { … } … } } name T }
//   Tracker3 { track1 {{curve x1 196 326 x6 554} {curve x1 574 556 x6 512}} name T }
//   CornerPin2D { to1 {{curve …} {curve …}} … }
//
// A curve is values for consecutive frames; x6 says that the next value is of frame 6,
// and that those after it are as far apart as it is from the one before. Frames from 1.
// The origin is the lower left corner of the picture, in pixels; Root has the picture's
// size (format). Read are Tracker4, Tracker3 and CornerPin2D; written is one Tracker4. A
// track that an expression drives, or that does not move, has no curve: it is left out,
// and said.
//
// Sources: samples and importer of Tracksperanto (github.com/guerilla-di/tracksperanto,
// lib/import/nuke_script.rb, test/import/samples/nuke); the reading of curves in
// github.com/julik/tickly, lib/tickly/curve.rb.
#pragma once

#include "track.h"

namespace tracks::nuke {

bool looks_like(std::string_view text);
Shot read(std::string_view text, const Size& size, const Report& report);
std::string write(const Shot& shot, const Size& size, const Report& report);

}  // namespace tracks::nuke
