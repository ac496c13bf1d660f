// Who waits for jobs or tickets, and whom to wake when some arrive.
//
// A waiter has a condition variable of its own, so that an arrival wakes as many waiters
// as it has work for, and only those that want it. Condition variables are lent from a
// pool and live as long as it: one may be notified after the lock was released, when the
// one who waited on it has gone; who borrowed it next then wakes for nothing.
//
// A waiter may have a call in place of a condition variable: who lets the item in makes
// it, and nobody needs to sleep.
//
// Not thread-safe: all calls are made under the lock that the condition variables wait
// with. Wakes::send is the exception: it is called after that lock was released.
#pragma once

#include <carrel/queue.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
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

// A call in place of a condition variable. Those under way are counted, so that its owner
// can wait until they are over.
struct Call {
  explicit Call(std::function<void()> its_call) : call(std::move(its_call)) {}
  const std::function<void()> call;
  std::atomic<std::size_t> under_way{0};
  void wait_over() const noexcept {
    while (const std::size_t some = under_way.load()) under_way.wait(some);
  }
};

// Wakes that are decided on under the lock and sent after it.
class Wakes {
 public:
  void add(std::condition_variable* signal) { signals_.push_back(signal); }
  void add(std::shared_ptr<Call> call) {
    ++call->under_way;
    calls_.push_back(std::move(call));
  }
  void send() {
    for (auto* signal : signals_) signal->notify_all();
    for (const auto& call : calls_) {
      call->call();
      --call->under_way;
      call->under_way.notify_all();
    }
  }

 private:
  std::vector<std::condition_variable*> signals_;
  std::vector<std::shared_ptr<Call>> calls_;
};

bool wants(const Demand& demand, const std::string& queue, const std::string& kind);

class Waiters {
 public:
  struct Waiter {
    const Demand& demand;
    std::condition_variable* signal;
    bool called = false;                   // look again
    std::shared_ptr<Call> call = nullptr;  // in place of the signal
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
  static void call(Waiter& waiter, Wakes& wakes);
  std::vector<Waiter*> waiters_;  // who waits longest comes first
};

}  // namespace carrel::memory
