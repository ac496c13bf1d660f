// A queue of tickets joined to a store: the ClaimSource of every pair that does not fuse.
#pragma once

#include <carrel/nudge.h>
#include <carrel/queue.h>
#include <carrel/store.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "worker_source.h"

namespace carrel {

// Tops the queue up from Store::peek when it runs low: at once if the last peek found as
// many as it asked for, else every `poll`. So a lost ticket is found again within `poll`.
// Where queues go in order or are bounded, each is topped up by itself: else the many
// tickets of one would hide that those of another are lost.
//
// The queue only helps: what a peek found and the queue has no room for, or did not
// bring, is claimed all the same, and while the queue is away the store is looked at
// every `poll`.
class TicketSource final : public WorkerSource {
 public:
  // `ask_away`: how often a queue that is away is asked while the store has jobs at hand.
  // Who asks one that is frozen waits for it.
  TicketSource(Queue& queue, Store& store, Duration poll, LogFn log,
               Duration ask_away = std::chrono::seconds(30))
      : queue_(queue),
        nudge_(dynamic_cast<Nudge*>(&queue)),
        store_(store),
        poll_(poll),
        ask_away_(ask_away),
        log_(std::move(log)) {}

  // An error is the store's.
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
    bool more = true;          // the last peek was cut off by its limit
    bool published = false;    // the queue took some of what it found
    bool direct = false;       // what the next finds does not go through the queue
    std::vector<Ticket> left;  // of the last, what the queue did not take
  };
  // Both say when to look again.
  Result<Clock::time_point> top_up(const Demand& demand);
  Result<Clock::time_point> top_up(const Demand& demand, Line& line);
  template <class Do>
  void each_line(Do act);
  bool has_left(const Demand& demand);
  // From the queue, which may be away. `left`: there are some besides; so it does not
  // wait, and seldom asks one that is away.
  std::vector<Ticket> receive(const Demand& demand, Clock::time_point until, bool left);
  void rest(Clock::time_point until);
  void on_nothing();
  void add_left(const Demand& demand, std::vector<Ticket>& tickets);
  bool woken() const noexcept { return nudged_.load() || interrupted_.load(); }
  void wake() noexcept;

  Queue& queue_;
  Nudge* const nudge_;
  Store& store_;
  const Duration poll_;
  const Duration ask_away_;
  const LogFn log_;
  Line all_;
  std::map<std::string, Line> lines_;  // by queue
  std::vector<std::uint64_t> receipts_;
  bool away_ = false;          // the queue, when it was last asked
  Clock::time_point asked_{};  // it, in vain
  std::atomic<bool> nudged_{false};
  std::atomic<bool> interrupted_{false};
  std::mutex mutex_;  // of those that wait while the queue is away
  std::condition_variable woken_;
};

}  // namespace carrel
