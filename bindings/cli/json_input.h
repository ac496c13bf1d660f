// JSON that a person or a script hands in.
#pragma once

#include <carrel/types.h>

#include <string>
#include <string_view>

namespace carrel::cli {

// `what` names the text in the error: "the arguments", "line 3".
Result<Json> parse_json(std::string_view text, std::string_view what);

// All of standard input.
Result<std::string> read_input();

}  // namespace carrel::cli
