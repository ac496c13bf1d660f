// JSON as text, the same as Json::dump() writes, in a fraction of its time: most of what
// jobs carry are strings that need no escape.
#pragma once

#include <carrel/types.h>

#include <string>

namespace carrel {

// Throws what dump() throws: of a string that is no valid UTF-8.
std::string json_text(const Json& value);

}  // namespace carrel
