// The pulse: one thread that tells the store, every beat, what this worker's runs have to
// say, hears which are cancelled, and keeps their leases.
//
// A run whose lease could not be renewed for 80 % of it is ended, and what it did dropped,
// since the store may give the job to others: all of them where the store is away, also
// while a beat waits for it; a single one where others hold its row so long that no beat
// could renew it.
#pragma once

#include <carrel/store.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

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
  // Answers how long to wait, from its start on, until the next.
  Duration tick();
  Duration take(const std::vector<Runner::RunPtr>& runs, std::vector<Beat>& beats,
                const std::vector<Pulse>& answers, bool renew, Duration now);
  void end_fenced();
  bool end_run(const Runner::RunPtr& run, const char* why);

  Store& store_;
  Feed& feed_;
  Runner& runner_;
  const Setup setup_;
  StoreStatus& status_;
  Totals& totals_;
  LogFn log_;
  const Duration period_;     // from the start of one beat to that of the next
  Duration renewal_{0};       // when it was last asked for, on boot_time()
  bool renews_late_ = false;  // a row is free that the last renewal has passed over
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
