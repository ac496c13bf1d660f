// Who waits inside a store, and what wakes them: claims for work, others for the end of
// jobs. Knows no database.
//
// Signals say that looking again may help, and are never lost: who began to wait before
// the commit is signalled by it, who begins after it sees it. As many claims are woken as
// there is work for, not all of them.
#pragma once

#include <carrel/job.h>
#include <carrel/queue.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace carrel::sql {

// Jobs of one queue and kind that became available.
struct Lane {
  std::string queue;
  std::string kind;
  std::size_t jobs = 1;
};

// Threads: safe.
class Waiters {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // now + wait, for any wait.
  static Deadline deadline_after(Duration wait);

  // `first`: called, without a lock, whenever somebody begins to wait.
  explicit Waiters(std::function<void()> first) : first_(std::move(first)) {}

  bool any() const noexcept { return waiting_ != 0; }
  void interrupt() noexcept;  // wakes all, now and for ever
  bool interrupted() const noexcept { return interrupted_; }

  // Jobs became available, or were seen to be.
  void work(std::span<const Lane> lanes);
  // The same of these, in as few lanes: which ones.
  std::vector<Lane> announce(std::span<const Ticket> tickets) noexcept;
  // These became final or went.
  void ended(std::span<const JobId> ids);
  // Any job may have ended: another process did something.
  void look_again();
  // The database was asked what there is for those who wait, and they were told.
  void polled();

  class ClaimWaiter;
  class EndWaiter;

 private:
  bool wait(std::unique_lock<std::mutex>& lock, std::condition_variable& wake,
            Deadline until, const std::function<bool()>& ready);

  const std::function<void()> first_;
  std::mutex mutex_;
  std::list<ClaimWaiter*> claims_;  // within claim(), who was woken longest ago first
  std::uint64_t works_ = 0;         // calls of work()
  std::uint64_t polls_ = 0;         // calls of polled()
  std::unordered_multimap<JobId, EndWaiter*> ends_;
  std::atomic<std::size_t> waiting_{0};
  std::atomic<bool> interrupted_{false};
};

// One claim source. Used by one thread at a time, but for interrupt().
class Waiters::ClaimWaiter {
 public:
  explicit ClaimWaiter(Waiters& all) : all_(all) {}
  ClaimWaiter(const ClaimWaiter&) = delete;
  ClaimWaiter& operator=(const ClaimWaiter&) = delete;

  // From enter() to leave() signals for `demand` (borrowed until then) reach it.
  void enter(const Demand& demand);
  // Hands on what it was signalled for and did not look at, and `leftover`: lanes that it
  // saw more work in than it may take.
  void leave(std::vector<Lane> leftover);

  // Before each look: forgets the signals so far. The lane, if they were of one only.
  std::optional<Lane> looking();
  // After a look that found nothing.
  void found_nothing();
  // Such a look for the same demand found nothing, and there has been no work since, as a
  // poll has seen: each poll answers for one look.
  bool looks_in_vain();
  // After a look that found nothing. False: the time is over, or it was interrupted.
  bool wait(Deadline until);
  void interrupt() noexcept;  // sticky
  bool interrupted() const noexcept { return interrupted_ || all_.interrupted_; }

 private:
  friend class Waiters;
  bool wants(const Lane& lane) const;
  void signal(const Lane& lane);

  Waiters& all_;
  Demand demand_;
  std::vector<Lane> signalled_;
  std::condition_variable wake_;
  std::atomic<bool> interrupted_{false};

  struct Look {
    std::vector<std::string> queues;
    std::vector<std::string> kinds;
    std::vector<QueueBound> bounds;
    std::uint64_t works;  // before it
    std::uint64_t polls;  // before it was over, or before the last that was left out
  };
  std::uint64_t works_seen_ = 0;
  std::optional<Look> vain_;
};

// Waits for the end of some jobs. Used by one thread, for one call.
class Waiters::EndWaiter {
 public:
  EndWaiter(Waiters& all, std::span<const JobId> ids);
  ~EndWaiter();
  EndWaiter(const EndWaiter&) = delete;
  EndWaiter& operator=(const EndWaiter&) = delete;

  void looking();
  bool wait(Deadline until);  // as ClaimWaiter

 private:
  friend class Waiters;
  Waiters& all_;
  const std::vector<JobId> ids_;
  bool signalled_ = false;
  std::condition_variable wake_;
};

}  // namespace carrel::sql
