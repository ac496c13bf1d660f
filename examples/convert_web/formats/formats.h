// The formats by name: what a file is, reading and writing it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "track.h"

namespace tracks {

struct Format {
  std::string_view id;         // "boujou"
  std::string_view name;       // for people
  std::string_view extension;  // of a file that is written: ".txt"
  bool (*looks_like)(std::string_view text);
  Shot (*read)(std::string_view text, const Size& size, const Report& report);
  std::string (*write)(const Shot& shot, const Size& size, const Report& report);
};
std::span<const Format> formats();
const Format* find_format(std::string_view id);  // nullptr: there is none

struct Request {
  std::string from;  // an id; empty: what the file looks like
  std::string to;
  Size size{1920, 1080};  // where the file does not say it
  int shift = 0;          // added to every frame
};
struct Converted {
  std::string text;
  std::string_view from;  // an id
  Size size;              // that held
  std::size_t tracks = 0, points = 0;
  int first = 0, last = 0;  // frames
  std::vector<std::string> notes;
};
// The whole of a conversion. `report` hears 0–1 over reading and writing.
tl::expected<Converted, Trouble> convert(std::string_view text, const Request& request,
                                         const Report& report);

}  // namespace tracks
