// The small value types that all of carrel speaks in.
#pragma once

#include <carrel/result.h>

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace carrel {

using Json = nlohmann::json;

// An instant on a store's clock: microseconds since 1970-01-01 UTC. A caller never makes
// one from a clock of its own: it hands in durations, and the store adds them to its
// "now".
using Time = std::chrono::sys_time<Duration>;
inline constexpr Time kNever = Time::max();

// Names a job for ever within one store; never used again, also after a purge. Above 0,
// at most 2^63 - 1.
enum class JobId : std::uint64_t {};

// Names one run of a job. Raised by every claim, never lowered. 0: never claimed.
enum class Fence : std::uint64_t {};

constexpr std::uint64_t value(JobId id) noexcept {
  return static_cast<std::uint64_t>(id);
}
constexpr std::uint64_t value(Fence f) noexcept { return static_cast<std::uint64_t>(f); }

// The states of a job. The diagram is in engine/README.md; the numbers are stored and
// never change.
enum class State : std::uint8_t {
  kPending = 0,    // due, but held back by other jobs: its limit or rate is full
  kScheduled = 1,  // waits for its time
  kAvailable = 2,  // may be claimed
  kRunning = 3,    // claimed under a fence and a lease
  kRetryable = 4,  // an attempt failed; waits for its back-off to end
  kCompleted = 5,
  kCancelled = 6,
  kDiscarded = 7,  // failed for good
};
inline constexpr std::size_t kStateCount = 8;

constexpr bool is_final(State s) noexcept {
  return s == State::kCompleted || s == State::kCancelled || s == State::kDiscarded;
}

// The stable lower-case name: "pending", "scheduled", …
std::string_view to_string(State state) noexcept;
std::optional<State> parse_state(std::string_view name) noexcept;

}  // namespace carrel
