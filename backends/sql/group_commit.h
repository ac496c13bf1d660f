// Group commit: the writes of any number of threads, a transaction for all that came
// while the one before was under way.
//
// One at a time has the connection: a thread, the writer, to which callers hand
// operations and hear after the COMMIT, or why there was none; or, where nobody else is
// there and a transaction begins at once, the caller itself, which spares two threads
// their waking. Knows no SQL and no database: a dialect is a Transactor.
#pragma once

#include <carrel/result.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace carrel::sql {

// Thrown by an operation that would have to wait for others while what came before it in
// its transaction holds locks. That is committed, and the operation begins the next
// transaction, before all others. It has written nothing.
struct NextTransaction {};

// What the writer does to the database. Calls come from one thread at a time, which is
// the writer's for all of a transaction unless begins_at_once() was true before it.
class Transactor {
 public:
  virtual ~Transactor() = default;
  // begin() would wait for nothing: no lock, no server.
  virtual bool begins_at_once() noexcept { return false; }
  // An error fails what waits for this transaction; nothing is open then.
  virtual Result<void> begin() noexcept = 0;
  // The operation that comes now is the last of its transaction, so far as is known.
  virtual void last() noexcept {}
  virtual void commit() = 0;              // may throw; rollback() follows then
  virtual void committed() noexcept = 0;  // after commit(), before any caller hears
  virtual void rollback() noexcept = 0;
  // After the last transaction of a turn, which may have been rolled back.
  virtual void end() noexcept = 0;
  virtual Error current_error() noexcept = 0;  // of the exception being handled
  // After rollback(): what may be done again.
  enum class Redo : std::uint8_t {
    kAlone,     // each operation by itself: one of them cannot be done
    kTogether,  // all of it at once: it lost a conflict with another transaction, or will
                // do without what failed
    kOthers,    // all but the one that failed, which waited for others in vain
    kNothing,   // nothing: the connection is gone, or it is not known what was stored
  };
  virtual Redo redo() noexcept { return Redo::kAlone; }
  // Between transactions, about every `tick` while wants_ticks(); less often where it
  // would take more than a tenth of the time.
  virtual void tick() noexcept = 0;
  virtual bool wants_ticks() noexcept = 0;
};

class GroupCommit {
 public:
  // `transactor` is borrowed, and outlives this.
  GroupCommit(Transactor& transactor, Duration tick);
  // Runs what is queued, then ends the thread. No call may be under way.
  ~GroupCommit();
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  // Runs `work` in a transaction, on the writer's thread or this one, and returns after
  // its commit.
  // Threads: safe. `work` may throw, which undoes all that it did; it may be run again
  // after that or after a failed commit, so it starts anew each time. What others wrote
  // in the same transaction is kept. `deadline`: gives up while `work` still waits for
  // its turn, with kUnavailable and nothing done.
  Result<void> run(const std::function<void()>& work,
                   std::optional<Duration> deadline = std::nullopt);

  // How many calls of run() wait for the next transaction. Threads: safe.
  std::size_t waiting() const;

  // wants_ticks() may have become true.
  void nudge() noexcept;

 private:
  struct Operation {
    const std::function<void()>* work = nullptr;
    std::optional<Error> error = {};
    bool done = false;
    std::condition_variable heard = {};
  };

  using Operations = std::span<Operation* const>;

  void loop() noexcept;
  std::vector<Operation*> take();  // mutex_ held
  void await_crowd(std::unique_lock<std::mutex>& lock) noexcept;
  // Without mutex_, which it has been said under that the connection is busy_.
  void turn(Operations operations, const Result<void>& begun) noexcept;
  void transact(Operations operations) noexcept;
  // The first of these in the transaction that is open, up to one that asks for the next;
  // false: each of those has its error. `done`: how many.
  bool try_together(Operations operations, std::size_t& done) noexcept;
  // What failed, as redo() says. A transaction is begun for it here.
  void redo(Operations failed) noexcept;
  void begin_and_transact(Operations operations) noexcept;
  // The same, and again while it only lost a conflict.
  bool insist(Operations operations, std::size_t& done) noexcept;

  Transactor& transactor_;
  const Duration tick_;
  Operation* culprit_ = nullptr;  // what the last transaction failed in; null: its end
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Operation*> queue_;
  bool busy_ = false;      // somebody has the connection
  std::size_t crowd_ = 0;  // how many the thread's last transaction was for
  bool stopping_ = false;
  std::atomic<bool> ticking_{false};
  std::thread thread_;
};

}  // namespace carrel::sql
