// The feed: one thread that claims as many jobs as there is room for, and launches them.
#pragma once

#include <carrel/store.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runner.h"
#include "store_status.h"

namespace carrel {

// Claims are numbered. A beat may free what claims up to `settled` gave and nobody holds:
// their answers have come, and what they gave is registered, or they were given up.
class Feed {
 public:
  struct Setup {
    std::vector<std::string> queues;
    std::vector<std::string> kinds;
    std::string worker;
    Duration lease;
    Duration wait;  // of one claim
  };
  Feed(ClaimSource& source, Runner& runner, Setup setup, StoreStatus& status);
  ~Feed();  // stop()

  void start();
  void stop();  // idempotent; returns when the last claim has been launched

  // One claim on the caller's thread, for drain(): how many jobs were launched.
  Result<std::size_t> pull(std::size_t max, Duration wait);

  std::uint64_t settled() const noexcept { return settled_.load(); }
  // True once after a claim failed: its jobs may be running in the store and nowhere
  // else.
  bool take_lost() noexcept { return lost_.exchange(false); }

 private:
  void work();

  ClaimSource& source_;
  Runner& runner_;
  const Setup setup_;
  StoreStatus& status_;
  std::uint64_t number_ = 0;
  std::atomic<std::uint64_t> settled_{0};
  std::atomic<bool> lost_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace carrel
