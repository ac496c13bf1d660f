// Queue: orders and carries hints. ClaimSource: what the engine's feed pulls from.
//
// Threads: every call is safe beside every other. Spans are borrowed for the call only.
#pragma once

#include <carrel/job.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carrel {

// How far a backend reaches: who else can see what is in it.
enum class Reach : std::uint8_t { kProcess, kHost, kNetwork };
std::string_view to_string(Reach reach) noexcept;  // "process", "host", "network"

// How many jobs of one queue a demand may take.
struct QueueBound {
  std::string queue;
  std::size_t most = 0;
};

// What a worker may take now.
struct Demand {
  std::span<const std::string> queues;  // empty: every queue
  std::span<const std::string> kinds;   // only these; empty: none
  std::size_t max = 1;                  // at most this many
  // A job of an earlier one of `queues` goes before any job of a later one.
  bool in_order = false;
  std::span<const QueueBound> bounds = {};  // queues that are not here have none
};

// Hands out jobs that are claimed already: a store that is its own queue (one statement
// receives and claims), or a queue of tickets joined to a store by the engine.
// Used by one thread at a time, but for interrupt(), which may come from any.
class ClaimSource {
 public:
  virtual ~ClaimSource() = default;
  // Up to demand.max jobs, best first (priority, then age); each has moved
  // available→running, with fence and attempt raised and a lease of `lease` from now.
  // The wait is not part of it: Claimed::granted says since when it lasts.
  // Waits at most `wait` for the first; an empty answer is success. `claim_number` rises
  // with every call of one worker. After an error (kUnavailable: try again) the claim may
  // or may not have happened: a beat whose settled_claim reaches claim_number frees what
  // was lost.
  virtual Result<std::vector<Claimed>> claim(const Demand& demand,
                                             std::string_view worker,
                                             std::uint64_t claim_number, Duration lease,
                                             Duration wait) = 0;
  // Wakes claim(), now and for ever: from here on it returns at once with nothing.
  virtual void interrupt() noexcept = 0;
};

struct QueueTraits {
  Reach reach = Reach::kProcess;
  bool durable = false;          // tickets outlive the process
  bool prioritised = false;      // receive gives lower priority values first
  std::size_t max_batch = 1024;  // of one receive
};

// Owns no job state: tickets may be lost, doubled, reordered or early, and only latency
// changes.
class Queue {
 public:
  struct Delivery {
    Ticket ticket;
    std::uint64_t receipt = 0;
  };
  virtual ~Queue() = default;
  virtual QueueTraits traits() const noexcept = 0;
  // Best effort, never blocks, bounded: returns how many of the prefix were taken.
  virtual std::size_t publish(std::span<const Ticket> tickets) noexcept = 0;
  // Up to demand.max tickets of its queues and kinds; waits at most `wait` for the first;
  // empty is success.
  virtual Result<std::vector<Delivery>> receive(const Demand& demand, Duration wait) = 0;
  // Forget these; called as soon as the claim answered, won or lost. Idempotent.
  virtual void settle(std::span<const std::uint64_t> receipts) noexcept = 0;
  // How many tickets wait here for `demand`, as far as is known without waiting; the
  // engine tops up from Store::peek when it falls below the low-water mark.
  virtual std::size_t backlog(const Demand& demand) const noexcept = 0;
  virtual void interrupt() noexcept = 0;  // wakes receive; sticky
};

}  // namespace carrel
