// What a thread of a pool has at hand.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

namespace carrel {

class ThreadRun;

// The runs that a thread has taken for later, where many wait: so the pool's lock is not
// taken for each. Others may take them away, as long as they are not begun.
class Hand {
 public:
  using RunPtr = std::shared_ptr<ThreadRun>;
  // The first of `queue`, so many. By the owner, whose hand is empty, under the lock.
  void fill(std::deque<RunPtr>& queue, std::size_t runs);
  // By the owner, or under the lock; null: it is empty.
  RunPtr next();
  bool empty() const { return next_.load(std::memory_order_relaxed) >= runs_.size(); }
  // What is left goes back to the front, in order. Under the lock.
  void give_back(std::deque<RunPtr>& queue);

 private:
  std::vector<RunPtr> runs_;  // changes its size under the lock only
  std::atomic<std::size_t> next_{0};
};

}  // namespace carrel
