// The pulse: one thread that tells the store, every beat, what this worker's runs have to
// say, hears which are cancelled, and keeps their leases.
//
// A worker that could not renew for 80 % of a lease fences itself: it ends its runs and
// drops what they did, since the store may give the jobs to others. It does so also while
// a beat waits for the store.
#pragma once

#include <carrel/store.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "completer.h"
#include "feed.h"
#include "lease_guard.h"
#include "runner.h"
#include "store_status.h"

namespace carrel {

class PulseLoop {
 public:
  struct Setup {
    std::string worker;
    Duration lease;
    Duration beat;
  };
  PulseLoop(Store& store, Feed& feed, Runner& runner, Reactor& reactor, Setup setup,
            StoreStatus& status, Totals& totals, LogFn log);
  ~PulseLoop();  // stop()
  void start();
  void stop();  // idempotent

 private:
  void work();
  void tick();
  void end_all();
  bool end_run(const Runner::RunPtr& run, const char* why);

  Store& store_;
  Feed& feed_;
  Runner& runner_;
  const Setup setup_;
  StoreStatus& status_;
  Totals& totals_;
  LogFn log_;
  // A claim's answer was lost: until its leases are over. A beat may pass over what it
  // gave, where others hold something of that, and does not say so.
  Duration lost_until_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
  LeaseGuard guard_;  // the last: it calls this object
};

}  // namespace carrel
