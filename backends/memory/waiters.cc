#include "waiters.h"

#include <carrel/demand.h>

#include <algorithm>
#include <utility>

namespace carrel::memory {

std::chrono::steady_clock::time_point deadline_after(Duration wait) {
  constexpr Duration kLongest = std::chrono::hours(24 * 365);
  return std::chrono::steady_clock::now() + std::clamp(wait, Duration::zero(), kLongest);
}

std::condition_variable* Signals::take() {
  if (free_.empty()) return &all_.emplace_back();
  std::condition_variable* signal = free_.back();
  free_.pop_back();
  return signal;
}

bool wants(const Demand& demand, const std::string& queue, const std::string& kind) {
  const auto has = [](std::span<const std::string> names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return (demand.queues.empty() || has(demand.queues, queue)) &&
         has(demand.kinds, kind) && (demand.bounds.empty() || most_of(demand, queue) > 0);
}

void Waiters::call(const std::string& queue, const std::string& kind, std::size_t count,
                   Wakes& wakes) {
  for (Waiter* waiter : waiters_) {
    if (count == 0) return;
    if (waiter->called || !wants(waiter->demand, queue, kind)) continue;
    call(*waiter, wakes);
    count -= std::min(count, most_of(waiter->demand, queue));
  }
}

void Waiters::call_all(Wakes& wakes) {
  for (Waiter* waiter : waiters_) call(*waiter, wakes);
}

void Waiters::call(Waiter& waiter, Wakes& wakes) {
  const bool again = std::exchange(waiter.called, true);
  if (!waiter.call) {
    wakes.add(waiter.signal);
  } else if (!again) {
    wakes.add(waiter.call);
  }
}

}  // namespace carrel::memory
