// The files in samples/: one shot in every format, and broken ones.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "embedded.h"

namespace convert_web {

std::optional<std::string_view> sample(std::string_view name);

// A file, a format, and what must come of them. The shot is the same in all formats, so
// each converted to another must be the other, to the byte.
struct Case {
  std::string_view name;  // of the input
  std::string_view to;
  std::string_view expected;  // the output
  std::string_view error;     // the sentence, where the file is broken
};
std::vector<Case> all_cases();

}  // namespace convert_web
