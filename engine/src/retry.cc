#include <carrel/retry.h>

#include <algorithm>
#include <cmath>
#include <csignal>

namespace carrel {
namespace {

// A store adds delays to its own "now". A hundred years is as good as any longer time and
// keeps that sum far from the end of Time.
constexpr Duration kLongest = std::chrono::hours(24) * 36'500;

Duration bounded(double microseconds) noexcept {
  if (!(microseconds > 0)) return Duration{0};  // also NaN
  if (microseconds >= static_cast<double>(kLongest.count())) return kLongest;
  return Duration{static_cast<Duration::rep>(microseconds)};
}

bool is_crash(const Outcome& outcome, std::optional<StopReason> stop) noexcept {
  if (outcome.klass != OutcomeClass::kCrashed &&
      outcome.klass != OutcomeClass::kSignaled) {
    return false;
  }
  // The ladder's own signals say nothing about the job.
  return !(stop && (outcome.signal == SIGTERM || outcome.signal == SIGKILL));
}

}  // namespace

Duration backoff(const RetryPolicy& policy, std::uint16_t attempt,
                 double random) noexcept {
  const double n = std::max<double>(attempt, 1);
  const auto cap = static_cast<double>(std::max(policy.cap, Duration{0}).count());
  const double grown =
      static_cast<double>(policy.base.count()) * std::pow(n, policy.power);
  // An infinite or undefined growth is past every cap.
  const double wait = grown < cap ? grown : cap;
  const double place = 2 * std::clamp(random, 0.0, 1.0) - 1;
  return bounded(wait * (1 + std::clamp(policy.jitter, 0.0, 1.0) * place));
}

Decision decide(const RetryPolicy& policy, const Claimed& job, const Outcome& outcome,
                std::optional<StopReason> stop, double random) noexcept {
  const auto klass = outcome.klass;
  const auto code = outcome.error.code;
  if (klass == OutcomeClass::kOk) return {Verdict::kCompleted};
  // An isolation calls whatever ended on request "cancelled"; only where nobody asked for
  // another reason does that mean the job.
  if (stop == StopReason::kCancel || (klass == OutcomeClass::kCancelled && !stop)) {
    return {Verdict::kCancelled};
  }
  if (klass == OutcomeClass::kSnoozed) {
    return {Verdict::kSnoozed, std::clamp(outcome.error.retry_in, Duration{0}, kLongest)};
  }
  if (klass == OutcomeClass::kDiscarded || code == Code::kDiscarded ||
      code == Code::kTooLarge) {
    return {Verdict::kDiscarded};
  }
  // What a run says after it was told to stop may be the stop's doing.
  if (stop == StopReason::kShutdown) return {Verdict::kInterrupted};

  const bool crashed = is_crash(outcome, stop);
  const bool poisonous =
      crashed && policy.max_crashes > 0 && job.crashes + 1 >= policy.max_crashes;
  if (code == Code::kInvalid || poisonous || job.attempt >= job.max_attempts) {
    return {Verdict::kDiscarded, Duration{0}, crashed};
  }
  const Duration asked = outcome.error.retry_in;
  return {Verdict::kRetry,
          asked > Duration{0} ? std::min(asked, kLongest)
                              : backoff(policy, job.attempt, random),
          crashed};
}

}  // namespace carrel
