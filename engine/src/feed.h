// The feed: claims as many jobs as there is room for, and launches them.
//
// It has a thread that waits for room and then for jobs. Where the store does not block,
// the threads that make the room claim too, and the feed's own waits only for jobs, once
// there are none. Where the store tells of jobs besides (telling_source.h), whoever makes
// one available claims it, and the feed's thread only looks after errors.
#pragma once

#include <carrel/config.h>
#include <carrel/store.h>
#include <carrel/telling_source.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "queue_turns.h"
#include "runner.h"
#include "store_status.h"
#include "worker_source.h"

namespace carrel {

// Claims are numbered. A beat may free what claims up to `settled` gave and nobody holds:
// their answers have come, and what they gave is registered, or they were given up.
class Feed {
 public:
  struct Setup {
    QueueTurns turns;
    const KindTable& kinds;
    std::string worker;
    Duration lease;
    Duration wait;  // of one claim
    bool store_blocks;
  };
  Feed(WorkerSource& source, Runner& runner, Setup setup, StoreStatus& status);
  ~Feed();  // stop()

  void start();
  // Claims no more, but for what is under way; stop() is still to be called.
  void close() noexcept;
  void stop();  // idempotent; returns when the last claim has been launched
  // Claims what there is room for, if that needs no waiting and nobody else is claiming.
  void serve() noexcept;

  // One claim on the caller's thread, for drain(): how many jobs were launched.
  Result<std::size_t> pull(std::size_t max, Duration wait);

  std::uint64_t settled() const noexcept { return settled_.load(); }
  // With every beat: looks whether kinds can be run again that could not.
  void tend() noexcept;

  // True once after a claim failed: its jobs may be running in the store and nowhere
  // else.
  bool take_lost() noexcept { return lost_.exchange(false); }

 private:
  std::span<const std::string> demanded();
  void nudge() noexcept;
  void work();
  void work_when_dry();
  void told();
  // With the lock held: what a claim of so many found.
  void found(const Result<std::size_t>& pulled, std::size_t asked);
  void answered(std::size_t jobs);  // likewise: it found so many
  // With the lock held, which it gives up meanwhile. False: interrupted.
  bool back_off(std::unique_lock<std::mutex>& lock, const Error& error);

  WorkerSource& source_;
  Runner& runner_;
  Setup setup_;
  StoreStatus& status_;
  const bool serves_;            // whoever makes room claims
  TellingSource* const teller_;  // null: the thread waits in the source
  std::uint64_t number_ = 0;
  std::atomic<std::uint64_t> settled_{0};
  std::atomic<bool> lost_{false};
  std::atomic<bool> waits_bounded_{false};  // a claim waits that may leave queues out
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool claiming_ = false;  // somebody is, or will at once
  bool dry_ = true;        // the last claim found nothing, or less than it asked for
  bool turn_ = true;       // the thread's: to wait for jobs, or out an error
  bool told_ = false;      // of a job, while somebody was claiming
  std::vector<std::string> some_kinds_;  // of whoever claims
  std::atomic<bool> leaves_out_{false};  // the last claim did: kinds that cannot be run
  Duration backoff_;
  std::thread thread_;
};

}  // namespace carrel
