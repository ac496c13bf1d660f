// What a job's row keeps of what its runs say: the same bounds in every store, to which
// the conformance suite holds them.
#pragma once

#include <string>
#include <string_view>

namespace carrel::rules {

// The last so many attempts.
inline constexpr int kKeptAttempts = 100;

// Keeps the last 16 KiB, beginning with a whole line where one of them is.
void append_log(std::string& log, std::string_view lines);

// Of progress: the first 1 KiB, and no part of a UTF-8 character.
std::string_view bounded_message(std::string_view message);

}  // namespace carrel::rules
