// How many jobs of each bounded queue this worker has: claimed, and not ended.
#pragma once

#include <carrel/config.h>
#include <carrel/queue.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace carrel {

// Threads: safe; which queues there are never changes.
class QueueSlots {
 public:
  struct Slot {
    Slot(std::string name, std::size_t bound) : queue(std::move(name)), most(bound) {}
    const std::string queue;
    const std::size_t most;
    std::atomic<std::size_t> taken{0};

    // True: the queue had no slot left before, so that a claim may have left it out.
    bool give_back() noexcept { return taken.fetch_sub(1) >= most; }
  };

  explicit QueueSlots(const std::map<std::string, QueueConfig>& queues) {
    for (const auto& [name, queue] : queues) {
      if (queue.concurrency > 0) slots_.emplace_back(name, queue.concurrency);
    }
  }

  bool any() const noexcept { return !slots_.empty(); }

  // Of a job that was claimed. null: its queue has no bound.
  Slot* take(std::string_view queue) noexcept {
    for (Slot& slot : slots_) {
      if (slot.queue != queue) continue;
      slot.taken.fetch_add(1);
      return &slot;
    }
    return nullptr;
  }

  // 0 also where the queue has no bound.
  std::size_t taken(std::string_view queue) const noexcept {
    for (const Slot& slot : slots_) {
      if (slot.queue == queue) return slot.taken.load();
    }
    return 0;
  }

  // What a claim may take now.
  std::vector<QueueBound> left() const {
    std::vector<QueueBound> bounds;
    bounds.reserve(slots_.size());
    for (const Slot& slot : slots_) {
      bounds.push_back({slot.queue, slot.most - std::min(slot.most, slot.taken.load())});
    }
    return bounds;
  }

 private:
  std::deque<Slot> slots_;
};

}  // namespace carrel
