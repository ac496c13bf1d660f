// A worker: the loops of a started engine, in the one order in which they start and stop.
//
//   feed ─► runner ─► isolation ─► completer ─► store        pulse, dispatcher: beside
//   them
#pragma once

#include <carrel/engine.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "completer.h"
#include "dispatcher.h"
#include "feed.h"
#include "kind.h"
#include "ladder.h"
#include "pulse.h"
#include "runner.h"
#include "store_status.h"
#include "ticket_source.h"
#include "worker_source.h"

namespace carrel {

class Worker {
 public:
  struct Setup {
    Store& store;
    std::shared_ptr<Queue> queue;  // null: the store is its own
    const KindTable& kinds;
    Reactor& reactor;
    const Config& config;
    std::size_t concurrency;
    std::vector<Hook> on_finished;
    std::vector<Hook> on_failed;
    std::vector<ProgressHook> on_progress;
    Totals& totals;
    LogFn log;
  };
  explicit Worker(Setup setup);
  ~Worker();  // stop(0s), unless it was stopped

  void start();
  // Runs what is due, on the caller's thread, until nothing is or `stop` is requested;
  // stop() is still to be called.
  Result<void> drain(const std::stop_token& stop);
  // By one thread, once.
  void stop(Duration grace);
  // Once it is: kUnavailable, if ends that could not be stored are lost.
  Result<void> stopped() const;
  // stop(grace) is about to be called, or is under way: takes no more from here on, every
  // run is told to stop, and that waits no longer than `grace` from now. From any thread,
  // also of its own. True: the first time.
  bool expect_stop(Duration grace);
  bool expects_stop() const noexcept { return stop_expected_.load(); }

  // A drain() that waits for a run to end looks for jobs. From any thread.
  void poke() { runner_.poke(); }
  bool cancel(JobId id) { return runner_.cancel(id); }
  void due_in(Duration delay) { dispatcher_.due_in(delay); }
  const std::string& id() const noexcept { return id_; }
  std::size_t busy() const noexcept { return runner_.busy(); }
  std::size_t busy_in(std::string_view queue) const noexcept {
    return runner_.slots().taken(queue);
  }
  std::size_t unflushed() const noexcept { return completer_.pending(); }
  std::optional<std::string> store_error() const { return status_.error(); }

 private:
  static std::unique_ptr<WorkerSource> make_source(const Setup& setup);
  Completer::Hooks hooks(Setup& setup);

  std::shared_ptr<Queue> queue_;
  const KindTable& kinds_;
  const std::string id_;
  StoreStatus status_;
  std::unique_ptr<WorkerSource> source_;
  Ladder ladder_;
  Completer completer_;
  Runner runner_;
  Feed feed_;
  PulseLoop pulse_;
  Dispatcher dispatcher_;
  LogFn log_;
  std::atomic<bool> stop_expected_{false};
  bool stopped_ = false;
  std::size_t lost_ends_ = 0;
};

// "host:pid:0123456789abcdef", another one every time.
std::string make_worker_id();

}  // namespace carrel
