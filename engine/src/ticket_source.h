// A queue of tickets joined to a store: the ClaimSource of every pair that does not fuse.
#pragma once

#include <carrel/nudge.h>
#include <carrel/queue.h>
#include <carrel/store.h>

#include <atomic>
#include <chrono>
#include <map>
#include <string>

#include "worker_source.h"

namespace carrel {

// Tops the queue up from Store::peek when it runs low: at once if the last peek found as
// many as it asked for, else every `poll`. So a lost ticket is found again within `poll`.
// Where queues go in order or are bounded, each is topped up by itself: else the many
// tickets of one would hide that those of another are lost.
class TicketSource final : public WorkerSource {
 public:
  TicketSource(Queue& queue, Store& store, Duration poll)
      : queue_(queue), nudge_(dynamic_cast<Nudge*>(&queue)), store_(store), poll_(poll) {}

  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override;
  void nudge() noexcept override;
  void interrupt() noexcept override;

 private:
  using Clock = std::chrono::steady_clock;
  // What is topped up together: one queue, or all of them.
  struct Line {
    Clock::time_point next_peek = Clock::time_point::min();
    bool more = true;  // the last peek was cut off by its limit
  };
  // Both say when to look again.
  Result<Clock::time_point> top_up(const Demand& demand);
  Result<Clock::time_point> top_up(const Demand& demand, Line& line);

  Queue& queue_;
  Nudge* const nudge_;
  Store& store_;
  const Duration poll_;
  Line all_;
  std::map<std::string, Line> lines_;  // by queue
  std::atomic<bool> nudged_{false};
  std::atomic<bool> interrupted_{false};
};

}  // namespace carrel
