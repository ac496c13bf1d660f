// 2-D tracking data: where points of the picture are, frame by frame, whatever program
// found them.
//
// One convention inside, to which each format is brought when it is read:
//   frames  numbered as the compositors do, the first of a clip is 1 by custom
//   x, y    pixels; the origin is the lower left corner of the lower left pixel, y goes
//   up
// What a track's quality was (residual, correlation) is measured differently by every
// program, and is not kept.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tracks {

struct Point {
  int frame = 0;
  double x = 0, y = 0;
};

struct Track {
  std::string name;
  std::vector<Point> points;  // by frame, none twice; at least one
};

struct Size {
  int width = 0, height = 0;
  bool operator==(const Size&) const = default;
};

struct Shot {
  std::optional<Size> size;  // if the file says it
  std::vector<Track> tracks;
  std::vector<std::string> notes;  // what was left out, a sentence each
};

// Why a file cannot be read: thrown inside this folder, returned by formats.h.
struct Trouble {
  std::size_t line = 0;  // from 1; 0: of the whole file
  std::string what;
  std::string sentence() const;  // "Line 12: …"
};

// Hears how far it is (0–1), many times a second.
using Report = std::function<void(double fraction, std::string_view doing)>;

// What a file may hold at most; beyond is refused.
inline constexpr std::size_t kMaxTracks = 100'000;
inline constexpr std::size_t kMaxPoints = 5'000'000;
inline constexpr std::size_t kMaxName = 200;  // bytes
inline constexpr int kMaxFrame = 10'000'000;
inline constexpr double kMaxPixel = 1e7;

}  // namespace tracks
