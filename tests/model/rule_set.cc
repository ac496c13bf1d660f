#include "rule_set.h"

#include <limits>

#include "broken.h"

namespace carrel::model {
namespace {

rules::SweepAct no_sweep(rules::Row&, const Retention&, Time) {
  return rules::SweepAct::kNothing;
}

Finished::Kind finish_any_running(rules::Row& row, Fence, Verdict verdict,
                                  Duration retry_in, bool crashed, const Retention& keep,
                                  Time now) {
  return rules::finish(row, row.fence, verdict, retry_in, crashed, keep, now);
}

Finished::Kind finish_any_state(rules::Row& row, Fence fence, Verdict verdict,
                                Duration retry_in, bool crashed, const Retention& keep,
                                Time now) {
  row.state = State::kRunning;
  row.fence = fence;
  return rules::finish(row, fence, verdict, retry_in, crashed, keep, now);
}

std::optional<Refusal> claim_by_ticket(rules::Row& row, const rules::WorkerId& worker,
                                       std::uint64_t number, Duration lease, Time now) {
  if (row.state == State::kRunning) row.state = State::kAvailable;
  return rules::claim(row, worker, number, lease, now);
}

std::optional<Refusal> claim_with_attempt_as_fence(rules::Row& row,
                                                   const rules::WorkerId& worker,
                                                   std::uint64_t number, Duration lease,
                                                   Time now) {
  const auto refusal = rules::claim(row, worker, number, lease, now);
  if (!refusal) row.fence = Fence{row.attempt};
  return refusal;
}

bool release_all_unnamed(rules::Row& row, std::string_view worker, std::uint64_t,
                         const Retention& keep, Time now) {
  return rules::release_unnamed(row, worker, std::numeric_limits<std::uint64_t>::max(),
                                keep, now);
}

Pulse beat_any_running(rules::Row& row, Fence, bool renew, Duration lease, Time now) {
  return rules::beat(row, row.fence, renew, lease, now);
}

Cancelled cancel_forgotten(rules::Row& row, const Retention& keep, Time now) {
  const Cancelled answer = rules::cancel(row, keep, now);
  if (answer == Cancelled::kRequested) row.cancel_requested = false;
  return answer;
}

rules::SweepAct sweep_early(rules::Row& row, const Retention& keep, Time) {
  return row.state == State::kRunning ? rules::sweep(row, keep, kNever)
                                      : rules::SweepAct::kNothing;
}

// A dead worker that cost no attempt would kill workers for ever.
rules::SweepAct sweep_with_refund(rules::Row& row, const Retention& keep, Time now) {
  const auto act = rules::sweep(row, keep, now);
  if (act == rules::SweepAct::kRescued) --row.attempt;
  return act;
}

}  // namespace

std::vector<Mistake> mistakes() {
  return {
      {"no sweep", {.sweep = no_sweep}, broken::kLost},
      {"finish guards on the state only", {.finish = finish_any_running}, broken::kStale},
      {"finish guards on the id only", {.finish = finish_any_state}, broken::kTwice},
      {"a ticket is ownership", {.claim = claim_by_ticket}, broken::kOverlap},
      {"the attempt is the fence, and is refunded",
       {.claim = claim_with_attempt_as_fence},
       broken::kStale},
      {"a beat guards on the state only", {.beat = beat_any_running}, broken::kStale},
      {"a beat frees claims in flight",
       {.release_unnamed = release_all_unnamed},
       broken::kInFlight},
      {"a cancel is forgotten", {.cancel = cancel_forgotten}, broken::kCancelled},
      {"the sweep does not look at the lease", {.sweep = sweep_early}, broken::kOverlap},
      {"a lost lease costs nothing", {.sweep = sweep_with_refund}, broken::kAttempt},
  };
}

}  // namespace carrel::model
