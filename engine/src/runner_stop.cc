// How runs are made to end, and how their ends are waited for.
#include <algorithm>
#include <utility>

#include "outcome.h"
#include "runner.h"

namespace carrel {

bool Runner::cancel(JobId id) {
  bool found = false;
  for (const auto& run : leases()) {
    if (run->job.lease.id != id || run->ended()) continue;
    found = true;
    // Every beat says it again until the run has ended: the ladder is climbed once.
    if (!run->stop(StopReason::kCancel)) continue;
    if (leave_lane(run)) {
      end_waiting(*run);
    } else {
      ladder_.escalate(run);
    }
  }
  return found;
}

void Runner::drop(const RunPtr& run, bool asked) {
  if (leave_lane(run)) {
    end_waiting(*run);
  } else if (!run->kill() && !asked) {
    ladder_.escalate(run);
  }
}

void Runner::stop_all(StopReason reason) {
  {
    std::lock_guard lock(leases_mutex_);
    stopping_ = reason;
  }
  std::vector<RunPtr> never_started;
  {
    std::lock_guard lock(lanes_mutex_);
    for (auto& [isolation, lane] : lanes_) {
      for (auto& run : lane.waiting) never_started.push_back(std::move(run));
      lane.waiting.clear();
    }
  }
  for (const auto& run : leases()) run->stop(reason);
  for (const auto& run : never_started) end_waiting(*run);
}

void Runner::terminate_all() {
  for (const auto& run : leases()) run->terminate();
}

void Runner::kill_all() {
  for (const auto& run : leases()) run->kill();
}

void Runner::abandon_all() {
  for (const auto& run : leases()) {
    run->abandon(failure(OutcomeClass::kTimeoutAbandoned,
                         {Code::kCancelled, "did not end before the engine stopped"}));
  }
}

template <class Predicate>
bool Runner::wait(const std::chrono::steady_clock::time_point& until, Predicate done) {
  std::unique_lock lock(wait_mutex_);
  ++waiters_;
  wake_at_busy_ = size_.concurrency + size_.prefetch;
  bool is_done = false;
  while (!(is_done = done()) && std::chrono::steady_clock::now() < until) {
    changed_.wait_until(lock, until);
  }
  --waiters_;
  return is_done;
}

bool Runner::wait_grace() {
  return wait(grace_end_, [&] { return busy_.load() == 0; });
}

void Runner::hurry(std::chrono::steady_clock::time_point until) {
  std::lock_guard lock(wait_mutex_);
  grace_end_ = std::min(grace_end_, until);
  changed_.notify_all();
}

bool Runner::wait_idle(std::chrono::steady_clock::time_point until) {
  return wait(until, [&] { return busy_.load() == 0; });
}

bool Runner::wait_killed(std::chrono::steady_clock::time_point until) {
  return wait(until, [&] {
    const auto runs = leases();
    return std::none_of(runs.begin(), runs.end(), [](const RunPtr& run) {
      return !run->ended() && run->kind.traits.can_kill;
    });
  });
}

void Runner::wait_below(std::size_t busy, std::chrono::steady_clock::time_point until) {
  wait(until, [&] {
    return std::exchange(poked_, false) || interrupted_ || busy_.load() < busy;
  });
}

void Runner::poke() {
  std::lock_guard lock(wait_mutex_);
  poked_ = true;
  changed_.notify_all();
}

}  // namespace carrel
