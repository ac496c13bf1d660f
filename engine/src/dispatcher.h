// The dispatcher: one thread that sweeps the store when something falls due, and
// publishes what became available. Beside enqueue it is the only producer of tickets.
#pragma once

#include <carrel/store.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "store_status.h"

namespace carrel {

class Dispatcher {
 public:
  using Publish = std::function<void(std::vector<Ticket>)>;
  // Sweeps at least every `poll`: others' rows fall due too.
  Dispatcher(Store& store, Publish publish, Duration poll, StoreStatus& status,
             LogFn log);
  ~Dispatcher();  // stop()
  void start();
  void close();  // no further sweep begins on its thread
  void stop();   // likewise, and waits for one that is under way; idempotent

  // Something of ours falls due in this long: do not sleep past it, nor for long where
  // what is due is held by somebody.
  void due_in(Duration delay);

  // Sweeps on the caller's thread until nothing is due: how many jobs became available.
  Result<std::size_t> sweep_all();
  // When to sweep again, from the last of these on.
  Duration pause() const;

 private:
  using Clock = std::chrono::steady_clock;
  void work();
  Duration rest();

  Store& store_;
  Publish publish_;
  const Duration poll_;
  StoreStatus& status_;
  LogFn log_;
  Duration next_{0};  // what the last sweep said
  Duration rest_;     // the longest after the next look in vain
  std::atomic<bool> news_{false};
  std::minstd_rand random_{std::random_device{}()};
  std::mutex mutex_;
  std::condition_variable wake_;
  Clock::time_point due_ = Clock::time_point::max();
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace carrel
