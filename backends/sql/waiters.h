// Who waits inside a store, and what wakes them: claims for work, others for the end of
// jobs. Knows no database.
//
// Signals say that looking again may help, and are never lost: who began to wait before
// the commit is signalled by it, who begins after it sees it. As many claims are woken as
// there is work for, not all of them.
//
// A transaction that brings work may claim it for one that waits, which saves the latter
// a transaction of its own: the claim is lent to it.
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
#include <string_view>
#include <unordered_map>
#include <utility>
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

  // What a claim is made with; borrows.
  struct Claiming {
    std::string_view worker;
    std::uint64_t number = 0;
    Duration lease{};
  };
  class Loan;
  // A claim that waits for work of this lane, if there is one, and goes on when the loan
  // ends: for a transaction that is about to commit.
  Loan lend(const Lane& lane);

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
  // `claiming`: it may be lent meanwhile, and then waits on for what becomes of that, as
  // long as the store's call takes.
  bool wait(Deadline until, const Claiming* claiming = nullptr);
  // What was claimed for it while it was lent, if it was: see Loan. `leftover`: lanes
  // that hold more.
  std::optional<Result<std::vector<Claimed>>> take_given(std::vector<Lane>& leftover);
  void interrupt() noexcept;  // sticky
  bool interrupted() const noexcept { return interrupted_ || all_.interrupted_; }

 private:
  friend class Waiters;
  friend class Loan;
  bool wants(const Lane& lane) const;
  void signal(const Lane& lane);

  Waiters& all_;
  Demand demand_;
  std::vector<Lane> signalled_;
  std::condition_variable wake_;
  std::atomic<bool> interrupted_{false};

  const Claiming* claiming_ = nullptr;  // within wait()
  bool lent_ = false;
  struct Given {
    Result<std::vector<Claimed>> jobs;
    std::vector<Lane> leftover;
  };
  std::optional<Given> given_;

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

// A claim that is lent, or none. Used by one thread. It ends with give() or fail(), or by
// itself, where nothing was claimed for it; the claim goes on waiting then.
class Waiters::Loan {
 public:
  Loan() = default;
  Loan(Loan&& other) noexcept : claim_(std::exchange(other.claim_, nullptr)) {}
  Loan& operator=(Loan&& other) noexcept;
  ~Loan() { end(std::nullopt); }

  explicit operator bool() const noexcept { return claim_ != nullptr; }
  const Demand& demand() const { return claim_->demand_; }
  const Claiming& claiming() const { return *claim_->claiming_; }

  // The transaction is committed, and has claimed these: the claim answers with them.
  void give(std::vector<Claimed> jobs, std::vector<Lane> leftover);
  // The claim answers with the error: it could not be made, or nobody knows whether it
  // was.
  void fail(const Error& error);

 private:
  friend class Waiters;
  explicit Loan(ClaimWaiter* claim) : claim_(claim) {}
  void end(std::optional<ClaimWaiter::Given> given) noexcept;

  ClaimWaiter* claim_ = nullptr;
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
