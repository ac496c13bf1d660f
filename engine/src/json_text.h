// JSON as text, and back. Neither takes what nests deeper than kMaxJsonDepth, whoever
// wrote it: a Json is copied and written by code that calls itself once a level, and a
// job's program could end its host by that.
#pragma once

#include <carrel/types.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace carrel {

inline constexpr std::size_t kMaxJsonDepth = 512;

// The same as Json::dump() writes, in a fraction of its time: most of what jobs carry are
// strings that need no escape. Throws what dump() throws of a string that is no valid
// UTF-8, std::length_error of what nests too deep, and std::invalid_argument of what is
// discarded, which dump() writes as "<discarded>".
std::string json_text(const Json& value);

// Discarded (Json::is_discarded) where it is no JSON, or nests too deep.
Json json_from_text(std::string_view text);

// Of a text that a parser is to see: there is a NUL byte in it, which no JSON has, and
// which the parser takes for its end.
bool has_nul(std::string_view text) noexcept;

// Counts brackets: of a text that is JSON.
bool nests_too_deep(std::string_view text) noexcept;

}  // namespace carrel
