// A form as browsers send it: multipart/form-data (RFC 7578), from memory, within bounds.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace convert_web {

struct Part {
  std::string name;
  std::optional<std::string> filename;  // as the browser says it: never a path to use
  std::string_view content;             // borrows from the body
};

inline constexpr std::size_t kMaxParts = 32;
inline constexpr std::size_t kMaxPartHeader = 8 << 10;

// The parts of `body`, which is of this Content-Type. An error is a sentence.
tl::expected<std::vector<Part>, std::string> parse_multipart(
    std::string_view content_type, std::string_view body);

// The first part of that name; nullptr: there is none.
const Part* find_part(const std::vector<Part>& parts, std::string_view name);

// What is left of a file's name as a person may see it: the last element of a path,
// with '_' for controls, for what turns the direction of writing, for what is no UTF-8,
// and for what a file system or a header may choke on; at most 100 bytes, valid UTF-8;
// "file" if nothing is left.
std::string display_name(std::string_view name);

}  // namespace convert_web
