// Who waits for jobs or tickets, and whom to wake when some arrive.
//
// A waiter has a condition variable of its own, so that an arrival wakes as many waiters
// as it has work for, and only those that want it. Condition variables are lent from a
// pool and live as long as it: one may be notified after the lock was released, when the
// one who waited on it has gone; who borrowed it next then wakes for nothing.
//
// Not thread-safe: all calls are made under the lock that the condition variables wait
// with. Wakes::send is the exception: it is called after that lock was released.
#pragma once

#include <carrel/queue.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace carrel::memory {

// When a wait of `wait` from now ends; far away, but never overflowing, where that is
// long.
std::chrono::steady_clock::time_point deadline_after(Duration wait);

class Signals {
 public:
  std::condition_variable* take();
  void give(std::condition_variable* signal) { free_.push_back(signal); }

 private:
  std::deque<std::condition_variable> all_;
  std::vector<std::condition_variable*> free_;
};

// Wakes that are decided on under the lock and sent after it.
class Wakes {
 public:
  void add(std::condition_variable* signal) { signals_.push_back(signal); }
  void send() {
    for (auto* signal : signals_) signal->notify_all();
  }

 private:
  std::vector<std::condition_variable*> signals_;
};

bool wants(const Demand& demand, const std::string& queue, const std::string& kind);

class Waiters {
 public:
  struct Waiter {
    const Demand& demand;
    std::condition_variable* signal;
    bool called = false;  // look again
  };

  bool empty() const { return waiters_.empty(); }
  void add(Waiter& waiter) { waiters_.push_back(&waiter); }
  // A waiter that was called and leaves without a look passes the call on.
  void remove(Waiter& waiter) { std::erase(waiters_, &waiter); }

  // `count` items of `queue` and `kind` have come.
  void call(const std::string& queue, const std::string& kind, std::size_t count,
            Wakes& wakes);
  void call_all(Wakes& wakes);

 private:
  std::vector<Waiter*> waiters_;  // who waits longest comes first
};

}  // namespace carrel::memory
