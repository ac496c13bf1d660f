// Who is inside is waited for before what is behind the door goes: callers that nobody
// else waits for, as the handlers of abandoned threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace carrel {

// Threads: safe. Visitors keep it: one may leave when what was behind it is gone.
class Door {
 public:
  // Nobody enters from here on.
  void close() noexcept { inside_.fetch_or(kClosed); }
  bool closed() const noexcept { return (inside_.load() & kClosed) != 0; }
  // Until all have left. It is closed.
  void wait_empty() const noexcept {
    for (std::size_t now = 0; (now = inside_.load()) != kClosed;) inside_.wait(now);
  }

 private:
  friend class Visit;
  static constexpr std::size_t kClosed = ~(~std::size_t{0} >> 1);

  bool enter() noexcept {
    if ((inside_.fetch_add(1) & kClosed) == 0) return true;
    leave();
    return false;
  }
  void leave() noexcept {
    if (inside_.fetch_sub(1) == kClosed + 1) inside_.notify_all();
  }

  std::atomic<std::size_t> inside_{0};
};

class Visit {
 public:
  explicit Visit(std::shared_ptr<Door> door) noexcept : door_(std::move(door)) {
    enter();
  }
  ~Visit() { leave(); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  // False: the door is closed, and what is behind it gone or about to be.
  bool enter() noexcept { return inside_ = door_->enter(); }
  void leave() noexcept {
    if (std::exchange(inside_, false)) door_->leave();
  }
  bool inside() const noexcept { return inside_; }

 private:
  const std::shared_ptr<Door> door_;
  bool inside_ = false;
};

}  // namespace carrel
