// A queue of tickets joined to a store: the ClaimSource of every pair that does not fuse.
#pragma once

#include <carrel/queue.h>
#include <carrel/store.h>

#include <atomic>
#include <chrono>

namespace carrel {

// Tops the queue up from Store::peek when it runs low: at once if the last peek found as
// many as it asked for, else every `poll`. So a lost ticket is found again within `poll`.
class TicketSource final : public ClaimSource {
 public:
  TicketSource(Queue& queue, Store& store, Duration poll)
      : queue_(queue), store_(store), poll_(poll) {}

  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override;
  void interrupt() noexcept override;

 private:
  using Clock = std::chrono::steady_clock;
  Result<void> top_up(const Demand& demand);

  Queue& queue_;
  Store& store_;
  const Duration poll_;
  Clock::time_point next_peek_ = Clock::time_point::min();
  bool more_ = true;  // the last peek was cut off by its limit
  std::atomic<bool> interrupted_{false};
};

}  // namespace carrel
