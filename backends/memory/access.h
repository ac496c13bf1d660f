// One call's hold of a memory store: the lock, the time, and whom to wake after it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "memory_store.h"

namespace carrel::memory {

// Locks the store for as long as it lives. When it ends it decides, under the lock, who
// must hear of what the call changed, and wakes them after the lock is released.
class MemoryStore::Access {
 public:
  explicit Access(MemoryStore& store)
      : store_(store), lock_(lock(store.mutex_)), now_(store.clock_.now()) {}
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
  ~Access() {
    store_.tell_waiters(wakes_);
    lock_.unlock();
    wakes_.send();
  }

  Time now() const { return now_; }
  void read_clock() { now_ = store_.clock_.now(); }

  // Tells waiters of the jobs that are available in `bucket`.
  void call(const Bucket& bucket) {
    store_.waiters_.call(bucket.queue, bucket.kind, bucket.count_of(State::kAvailable),
                         wakes_);
  }
  Wakes& wakes() { return wakes_; }

  // Gives up the lock until `signal` is notified and done() holds, or `deadline`; says
  // whether done() holds. The time is read again.
  template <class Done>
  bool wait_until(std::condition_variable& signal,
                  std::chrono::steady_clock::time_point deadline, Done done) {
    const bool is_done = signal.wait_until(lock_, deadline, done);
    read_clock();
    return is_done;
  }

 private:
  // Most calls are shorter than a sleep and a wake: it sleeps only where one is not.
  static std::unique_lock<std::mutex> lock(std::mutex& mutex) {
    constexpr int kTries = 30;
    std::unique_lock lock(mutex, std::try_to_lock);
    for (int i = 0; !lock.owns_lock() && i < kTries; ++i) {
      std::this_thread::yield();
      (void)lock.try_lock();
    }
    if (!lock.owns_lock()) lock.lock();
    return lock;
  }

  MemoryStore& store_;
  std::unique_lock<std::mutex> lock_;
  Time now_;
  Wakes wakes_;
};

}  // namespace carrel::memory
