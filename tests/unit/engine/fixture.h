// An engine in memory, with what the tests of this folder keep asking of it.
#pragma once

#include <carrel/engine.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>

namespace carrel {

inline Config memory_config(std::size_t concurrency = 2) {
  Config config;
  config.store = "memory:";
  config.worker.concurrency = concurrency;
  config.worker.beat = std::chrono::milliseconds(20);
  config.log.level = LogLevel::kOff;
  config.defaults.retry.base = std::chrono::milliseconds(1);
  config.defaults.stop_grace = std::chrono::milliseconds(10);
  config.defaults.term_grace = std::chrono::milliseconds(10);
  return config;
}

inline Engine open(Config config) {
  auto engine = Engine::open(std::move(config));
  if (!engine) {
    ADD_FAILURE() << engine.error().message;
    std::abort();
  }
  return std::move(*engine);
}

// A gate that handlers wait at and tests open; a test can wait until somebody is there.
// It lasts until all have left it, also those of a thread that its engine abandoned.
class Gate {
 public:
  Gate() = default;
  ~Gate() {
    std::unique_lock lock(mutex_);
    gone_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return inside_ == 0; });
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    wait(lock, [&] { return open_; });
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait_for(std::size_t visitors) {
    std::unique_lock lock(mutex_);
    wait(lock, [&] { return waiting_ >= visitors; });
  }
  std::size_t visitors() {
    std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  template <class Condition>
  void wait(std::unique_lock<std::mutex>& lock, Condition holds) {
    ++inside_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return gone_ || holds(); });
    --inside_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t waiting_ = 0;
  std::size_t inside_ = 0;
  bool open_ = false;
  bool gone_ = false;
};

// Far more than any machine needs; a test that comes this far has failed.
inline constexpr Duration kLong = std::chrono::seconds(30);

}  // namespace carrel
