#include <carrel/job.h>
#include <carrel/queue.h>
#include <carrel/store.h>

#include <array>
#include <utility>

namespace carrel {
namespace {

template <class E, std::size_t N>
using Names = std::array<std::pair<E, std::string_view>, N>;

template <class E, std::size_t N>
std::string_view name_of(const Names<E, N>& names, E e) noexcept {
  for (const auto& [value, name] : names) {
    if (value == e) return name;
  }
  return "unknown";
}

template <class E, std::size_t N>
std::optional<E> value_of(const Names<E, N>& names, std::string_view text) noexcept {
  for (const auto& [value, name] : names) {
    if (name == text) return value;
  }
  return std::nullopt;
}

constexpr Names<Code, 14> kCodes{{
    {Code::kInvalid, "invalid"},
    {Code::kNotFound, "not_found"},
    {Code::kExists, "exists"},
    {Code::kStale, "stale"},
    {Code::kUnavailable, "unavailable"},
    {Code::kTimeout, "timeout"},
    {Code::kTooLarge, "too_large"},
    {Code::kUnsupported, "unsupported"},
    {Code::kCorrupt, "corrupt"},
    {Code::kInternal, "internal"},
    {Code::kFailed, "failed"},
    {Code::kCancelled, "cancelled"},
    {Code::kSnoozed, "snoozed"},
    {Code::kDiscarded, "discarded"},
}};

constexpr Names<State, kStateCount> kStates{{
    {State::kPending, "pending"},
    {State::kScheduled, "scheduled"},
    {State::kAvailable, "available"},
    {State::kRunning, "running"},
    {State::kRetryable, "retryable"},
    {State::kCompleted, "completed"},
    {State::kCancelled, "cancelled"},
    {State::kDiscarded, "discarded"},
}};

constexpr Names<OnConflict, 3> kOnConflicts{{
    {OnConflict::kSkip, "skip"},
    {OnConflict::kReplace, "replace"},
    {OnConflict::kReplaceKeepTime, "replace_keep_time"},
}};

constexpr Names<OutcomeClass, 19> kClasses{{
    {OutcomeClass::kOk, "ok"},
    {OutcomeClass::kFailed, "failed"},
    {OutcomeClass::kSnoozed, "snoozed"},
    {OutcomeClass::kDiscarded, "discarded"},
    {OutcomeClass::kCancelled, "cancelled"},
    {OutcomeClass::kCrashed, "crashed"},
    {OutcomeClass::kWorkerLost, "worker_lost"},
    {OutcomeClass::kProtocolError, "protocol_error"},
    {OutcomeClass::kExitNonzero, "exit_nonzero"},
    {OutcomeClass::kSignaled, "signaled"},
    {OutcomeClass::kWallTimeout, "wall_timeout"},
    {OutcomeClass::kTimeoutAbandoned, "timeout_abandoned"},
    {OutcomeClass::kCpuTimeout, "cpu_timeout"},
    {OutcomeClass::kMemoryLimit, "memory_limit"},
    {OutcomeClass::kOutputLimit, "output_limit"},
    {OutcomeClass::kFsizeLimit, "fsize_limit"},
    {OutcomeClass::kSpawnError, "spawn_error"},
    {OutcomeClass::kSandboxUnavailable, "sandbox_unavailable"},
    {OutcomeClass::kResourceError, "resource_error"},
}};

}  // namespace

std::string_view to_string(Code code) noexcept { return name_of(kCodes, code); }
std::optional<Code> parse_code(std::string_view name) noexcept {
  return value_of(kCodes, name);
}

std::string_view to_string(State state) noexcept { return name_of(kStates, state); }
std::optional<State> parse_state(std::string_view name) noexcept {
  return value_of(kStates, name);
}

std::string_view to_string(OnConflict what) noexcept {
  return name_of(kOnConflicts, what);
}

std::string_view to_string(OutcomeClass klass) noexcept {
  return name_of(kClasses, klass);
}
std::optional<OutcomeClass> parse_outcome_class(std::string_view name) noexcept {
  return value_of(kClasses, name);
}

std::string_view to_string(Rung rung) noexcept {
  switch (rung) {
    case Rung::kNone:
      return "";
    case Rung::kStop:
      return "stop";
    case Rung::kTerm:
      return "term";
    case Rung::kKill:
      return "kill";
  }
  return "unknown";
}

std::string_view to_string(Reach reach) noexcept {
  switch (reach) {
    case Reach::kProcess:
      return "process";
    case Reach::kHost:
      return "host";
    case Reach::kNetwork:
      return "network";
  }
  return "unknown";
}

Duration Retention::of(State final_state) const noexcept {
  switch (final_state) {
    case State::kCancelled:
      return cancelled;
    case State::kDiscarded:
      return discarded;
    default:
      return completed;
  }
}

}  // namespace carrel
