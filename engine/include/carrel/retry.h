// The retry rule: a pure function from how an attempt ended to what becomes of its job.
#pragma once

#include <carrel/isolation.h>
#include <carrel/job.h>

#include <optional>

namespace carrel {

struct RetryPolicy {
  // Back-off before attempt n + 1: min(base · n^power, cap), ± jitter of it.
  // The default, n⁴ s ± 10 %, is River's and Sidekiq's.
  Duration base = std::chrono::seconds(1);
  double power = 4;  // 0: constant; 1: linear
  Duration cap = std::chrono::hours(24);
  double jitter = 0.1;  // 0 to 1
  // An attempt that crashed its own child counts towards this; the job is discarded when
  // it is reached. 0: never.
  std::uint16_t max_crashes = 3;
};

struct Decision {
  Verdict verdict = Verdict::kCompleted;
  Duration retry_in{0};
  bool crashed = false;
};

// The back-off after `attempt` (≥ 1) attempts; `random` in [0, 1) places it within the
// jitter.
Duration backoff(const RetryPolicy& policy, std::uint16_t attempt,
                 double random) noexcept;

// `stop`: what the run was asked to stop for, if it was.
Decision decide(const RetryPolicy& policy, const Claimed& job, const Outcome& outcome,
                std::optional<StopReason> stop, double random) noexcept;

}  // namespace carrel
