#include <carrel/rules.h>

#include <algorithm>
#include <limits>

namespace carrel::rules {
namespace {

// `now + d` that stays at kNever instead of overflowing; a negative `d` counts as none.
Time after(Time now, Duration d) {
  if (d <= Duration::zero()) return now;
  return d >= kNever - now ? kNever : now + d;
}

void count_up(std::uint16_t& n) {
  if (n < std::numeric_limits<std::uint16_t>::max()) ++n;
}

void refund(Row& row) {
  if (row.attempt > 0) --row.attempt;
}

void become_available(Row& row) {
  row.state = State::kAvailable;
  row.wake_at = row.expires_at;
}

void become_final(Row& row, State state, const Retention& keep, Time now) {
  row.state = state;
  row.wake_at = after(now, keep.of(state));
}

// start_within asks for a start, and this job has had one: what its later attempts wait
// for is not its expiry's concern.
void has_started(Row& row) { row.expires_at = kNever; }

void wait_until(Row& row, State state, Time due) {
  row.state = state;
  row.wake_at = due;
  has_started(row);
}

// The run is over without a result, at no cost.
void release(Row& row, const Retention& keep, Time now) {
  refund(row);
  if (row.cancel_requested) {
    become_final(row, State::kCancelled, keep, now);
  } else {
    become_available(row);
  }
}

}  // namespace

Row admit(Time now, Duration delay, Duration start_within, std::uint16_t max_attempts) {
  Row row;
  row.max_attempts = max_attempts > 0 ? max_attempts : 1;
  const Time due = after(now, delay);
  if (start_within > Duration::zero()) row.expires_at = after(due, start_within);
  if (due > now) {
    row.state = State::kScheduled;
    row.wake_at = due;
  } else {
    become_available(row);
  }
  return row;
}

bool hold(Row& row) {
  if (row.state != State::kAvailable) return false;
  row.state = State::kPending;
  return true;
}

bool free(Row& row) {
  if (row.state != State::kPending) return false;
  become_available(row);
  return true;
}

bool meets(const Unique& unique, State holder, Time enqueued, Time now) {
  const auto& states = unique.states;
  if (std::find(states.begin(), states.end(), holder) == states.end()) return false;
  return unique.period <= Duration::zero() || after(enqueued, unique.period) > now;
}

Time unique_until(const Unique& unique, Time enqueued) {
  return after(enqueued, unique.period);
}

bool replace(Row& row, OnConflict how, Time now, Duration delay, Duration start_within) {
  switch (row.state) {
    case State::kPending:
    case State::kScheduled:
    case State::kAvailable:
    case State::kRetryable:
      break;
    default:
      return false;
  }
  if (how == OnConflict::kReplaceKeepTime) {
    free(row);  // what held it back may be another's concern than the new arguments'
    return true;
  }
  const Row anew = admit(now, delay, start_within, row.max_attempts);
  row.state = anew.state;
  row.wake_at = anew.wake_at;
  row.expires_at = anew.expires_at;
  return true;
}

std::optional<Refusal> claim(Row& row, const WorkerId& worker, std::uint64_t claim_number,
                             Duration lease, Time now) {
  switch (row.state) {
    case State::kPending:
      return Refusal::kLimited;
    case State::kScheduled:
    case State::kRetryable:
      return Refusal::kEarly;  // also when due: only the sweep makes a row available
    case State::kAvailable:
      break;
    default:
      return Refusal::kGone;
  }
  if (row.expires_at <= now) return Refusal::kGone;
  row.state = State::kRunning;
  row.fence = Fence{value(row.fence) + 1};
  count_up(row.attempt);
  row.wake_at = after(now, lease);
  row.claim_number = claim_number;
  row.worker = worker;
  return std::nullopt;
}

Pulse beat(Row& row, Fence fence, bool renew, Duration lease, Time now) {
  if (row.state != State::kRunning || row.fence != fence) return Pulse::kStale;
  if (renew) row.wake_at = after(now, lease);
  return row.cancel_requested ? Pulse::kCancel : Pulse::kAlive;
}

bool release_unnamed(Row& row, std::string_view worker, std::uint64_t settled_claim,
                     const Retention& keep, Time now) {
  if (row.state != State::kRunning || row.worker != worker ||
      row.claim_number > settled_claim) {
    return false;
  }
  release(row, keep, now);
  return true;
}

Finished::Kind finish(Row& row, Fence fence, Verdict verdict, Duration retry_in,
                      bool crashed, const Retention& keep, Time now) {
  if (row.state != State::kRunning || row.fence != fence) {
    const bool repeated = value(fence) != 0 && row.finished_fence == fence;
    return repeated ? Finished::Kind::kAlready : Finished::Kind::kStale;
  }
  row.finished_fence = fence;
  if (crashed) count_up(row.crashes);
  switch (verdict) {
    case Verdict::kCompleted:
      become_final(row, State::kCompleted, keep, now);
      break;
    case Verdict::kDiscarded:
      become_final(row, State::kDiscarded, keep, now);
      break;
    case Verdict::kCancelled:
      become_final(row, State::kCancelled, keep, now);
      break;
    case Verdict::kRetry:
      if (row.cancel_requested) {
        become_final(row, State::kCancelled, keep, now);
      } else if (row.attempt >= row.max_attempts) {
        become_final(row, State::kDiscarded, keep, now);
      } else {
        wait_until(row, State::kRetryable, after(now, retry_in));
      }
      break;
    case Verdict::kSnoozed:
      refund(row);
      if (row.cancel_requested) {
        become_final(row, State::kCancelled, keep, now);
      } else {
        wait_until(row, State::kScheduled, after(now, retry_in));
      }
      break;
    case Verdict::kInterrupted:
      has_started(row);
      release(row, keep, now);
      break;
    case Verdict::kReleased:
      release(row, keep, now);
      break;
  }
  return Finished::Kind::kApplied;
}

Cancelled cancel(Row& row, const Retention& keep, Time now) {
  if (is_final(row.state)) return Cancelled::kAlreadyFinal;
  row.cancel_requested = true;
  if (row.state == State::kRunning) return Cancelled::kRequested;
  become_final(row, State::kCancelled, keep, now);
  return Cancelled::kCancelled;
}

bool retry(Row& row, Time /*now*/) {
  if (row.state == State::kRunning || row.state == State::kAvailable ||
      row.state == State::kPending) {
    return false;
  }
  row.cancel_requested = false;
  row.crashes = 0;
  // The count goes on, so that the history names each attempt once.
  if (row.attempt >= row.max_attempts) {
    row.max_attempts = row.attempt;
    count_up(row.max_attempts);
    if (row.attempt == row.max_attempts)
      --row.attempt;  // both were at the largest number
  }
  row.expires_at = kNever;  // its expiry may be why it is final
  become_available(row);
  return true;
}

SweepAct sweep(Row& row, const Retention& keep, Time now) {
  if (row.wake_at > now) return SweepAct::kNothing;
  switch (row.state) {
    case State::kScheduled:
    case State::kRetryable:
      if (row.expires_at <= now) break;
      become_available(row);
      return SweepAct::kDue;
    case State::kAvailable:
    case State::kPending:
      break;
    case State::kRunning:
      if (row.cancel_requested) {
        become_final(row, State::kCancelled, keep, now);
        return SweepAct::kCancelled;
      }
      if (row.attempt >= row.max_attempts) {
        become_final(row, State::kDiscarded, keep, now);
        return SweepAct::kExhausted;
      }
      has_started(row);
      become_available(row);
      return SweepAct::kRescued;
    default:
      return SweepAct::kPurge;
  }
  become_final(row, State::kDiscarded, keep, now);
  return SweepAct::kExpired;
}

Attempt lost_attempt(const Row& row) {
  Attempt attempt;
  attempt.attempt = row.attempt;
  attempt.fence = row.fence;
  attempt.klass = OutcomeClass::kWorkerLost;
  attempt.message =
      "the lease of worker " + row.worker.text() + " ended without a result";
  return attempt;
}

}  // namespace carrel::rules
