// From what a handler answered to how its attempt ended: the same for every isolation
// that runs handlers.
#pragma once

#include <carrel/isolation.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace carrel {

// A result longer than `result_bytes`, or one that is no valid UTF-8, fails for good.
// `stop`: what the run was asked to stop for before it answered; it names the class of a
// failure, and changes nothing of a success.
Outcome outcome_of(Result<Json>&& answer, std::uint64_t result_bytes,
                   std::optional<StopReason> stop);

// Of a result as text. kTooLarge: it has more than `limit` bytes.
Result<void> check_result(std::string_view result, std::uint64_t limit,
                          std::string origin = {});

// An end that was no success, with nothing else to say.
Outcome failure(OutcomeClass klass, Error error);

// It says no more than that the run went well, and how long it took.
bool is_plain(const Outcome& outcome) noexcept;

// kTimeout → kWallTimeout, else kCancelled.
OutcomeClass class_of(StopReason stop) noexcept;

}  // namespace carrel
