#include "hand.h"

#include <utility>

#include "thread_run.h"

namespace carrel {

void Hand::fill(std::deque<RunPtr>& queue, std::size_t runs) {
  runs_.clear();
  for (; runs > 0; --runs) {
    runs_.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  next_ = 0;
}

Hand::RunPtr Hand::next() {
  if (empty()) return nullptr;
  const std::size_t mine = next_.fetch_add(1);
  return mine < runs_.size() ? std::move(runs_[mine]) : nullptr;
}

void Hand::give_back(std::deque<RunPtr>& queue) {
  for (std::size_t end = runs_.size(), first = next_.exchange(end); first < end; --end) {
    queue.push_front(std::move(runs_[end - 1]));
  }
}

}  // namespace carrel
