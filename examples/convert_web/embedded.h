// Files that are built into the program; embed.cmake writes the tables.
#pragma once

#include <span>
#include <string_view>

namespace convert_web {

struct Embedded {
  std::string_view name;
  std::string_view text;
};
std::span<const Embedded> samples();    // of samples/
std::span<const Embedded> web_files();  // of web/: style and script

}  // namespace convert_web
