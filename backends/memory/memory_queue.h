// The queue in memory: a bounded, prioritised, de-duplicating heap of hints.
#pragma once

#include <carrel/nudge.h>
#include <carrel/queue.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "waiters.h"

namespace carrel::memory {

class MemoryQueue final : public Queue, public Nudge {
 public:
  explicit MemoryQueue(std::size_t capacity) : capacity_(capacity) {}
  MemoryQueue(const MemoryQueue&) = delete;
  MemoryQueue& operator=(const MemoryQueue&) = delete;

  QueueTraits traits() const noexcept override;
  std::size_t publish(std::span<const Ticket> tickets) noexcept override;
  Result<std::vector<Delivery>> receive(const Demand& demand, Duration wait) override;
  // Nothing to forget: what was received is kept no longer.
  void settle(std::span<const std::uint64_t> /*receipts*/) noexcept override {}
  std::size_t backlog(const Demand& demand) const noexcept override;
  void nudge() noexcept override;
  void interrupt() noexcept override;

 private:
  struct Waiting {
    std::uint64_t number;  // order of arrival
    JobId id;
  };
  using Line = std::deque<Waiting>;
  struct Bucket {
    std::map<std::int16_t, Line> lines;  // by priority; none is empty
    std::size_t size = 0;
  };
  using Key = std::pair<std::string, std::string>;  // queue, kind

  std::vector<Delivery> take(const Demand& demand);

  const std::size_t capacity_;
  mutable std::mutex mutex_;                    // guards all below
  std::map<Key, Bucket, std::less<>> buckets_;  // none is empty
  std::unordered_set<std::uint64_t> ids_;       // of all that wait
  std::uint64_t arrivals_ = 0;
  std::uint64_t receipts_ = 0;
  Signals signals_;
  Waiters waiters_;
  bool nudged_ = false;
  bool interrupted_ = false;
};

}  // namespace carrel::memory
