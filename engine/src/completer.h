// The completer: commits how runs ended, many at a time, and one batch at once.
//
// It has a thread that does so where the store may block, or there are hooks to be
// called, which another does (hook_line.h). Else whoever reports an end commits it,
// together with all that others reported meanwhile; the thread commits only what was put
// off for too long, or could not be stored at once.
//
// While the store is away the batch is kept and tried again; meanwhile the runs stay
// named in the beats, so that their leases hold as long as the store can be told.
//
// An error that came to many may be about one of them: each is tried by itself then. What
// the store refuses alone (is_refusal) ends as discarded instead, and bare. What fails
// otherwise, where others do not, or bare, is kept apart and tried by itself, so that it
// holds up nobody.
#pragma once

#include <carrel/engine.h>
#include <carrel/store.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "active_run.h"
#include "hook_line.h"
#include "store_status.h"

namespace carrel {

class Runner;

template <class Number>
struct EndCounts {
  Number completed{0};
  Number failed{0};  // attempts
  Number cancelled{0};

  void count(Verdict verdict) {
    if (verdict == Verdict::kCompleted) ++completed;
    if (verdict == Verdict::kCancelled) ++cancelled;
    if (verdict == Verdict::kRetry || verdict == Verdict::kDiscarded) ++failed;
  }
};

struct Totals : EndCounts<std::atomic<std::uint64_t>> {
  std::atomic<std::uint64_t> stale{0};
};

class Completer {
 public:
  struct Hooks {
    HookLine::Hooks host;
    // Jobs that the finishes set free; and the soonest retry that they asked for.
    std::function<void(std::vector<Ticket>)> freed;
    std::function<void(Duration)> due_in;
  };
  // How far it may be behind before keeps_up() says no.
  struct Bounds {
    std::size_t waiting;  // ended runs, to be stored or for the host's hooks
    // Those to be stored, where the store has taken none for longer than `patience`, but
    // for what is tried by itself: their leases run. If claims went on meanwhile, a store
    // that ends fewer jobs than it hands out would get ever more ends in one call, until
    // none is stored within its lease, and all is done again, for ever.
    std::size_t slow;
    Duration patience;
  };
  Completer(Store& store, Hooks hooks, StoreStatus& status, Totals& totals, LogFn log,
            Bounds bounds);
  ~Completer();  // stop()

  void start(Runner& runner);
  // Whoever reports an end commits it, and the runner counts a run as busy until then.
  bool at_once() const noexcept { return at_once_; }
  // An end whose commit may wait for a millisecond, or for the next settle(). True: it
  // was taken, and this object was not touched since; it may be gone. False: see push().
  bool push_quietly(ActiveRun& run) noexcept;
  // An end. The run lives until the runner is told to retire it, which may be at once.
  void push(ActiveRun& run) noexcept;
  // An end that was pushed, and had to wait for a beat (ActiveRun::waits_for_beat). The
  // thread commits it: the caller has beats to send.
  void push_waited(ActiveRun& run) noexcept;
  // Commits what was pushed, here or, if somebody is just committing, there.
  void settle() noexcept;
  bool keeps_up() const noexcept;
  std::size_t pending() const noexcept { return pending_.load(); }
  // Nothing is pending, and the host's hooks have heard of all.
  bool idle() const noexcept { return pending_.load() == 0 && hooks_.untold() == 0; }
  // Until all is committed, at most until then. True: all is.
  bool flush(std::chrono::steady_clock::time_point until);
  // Likewise, and until the hooks have heard of it or, where it did not keep up, of so
  // many that it does.
  void settle_all(std::chrono::steady_clock::time_point until);
  // Ends the thread; what is not committed by then is logged, and left to the leases: how
  // many. Waits for hooks.
  std::size_t stop();

 private:
  using Steady = std::chrono::steady_clock;
  using Batch = std::vector<ActiveRun*>;
  // The ends that were pushed, the newest first: a list without a lock, so that the many
  // short jobs of a thread pool do not take one each. kAsleep in its place: there are
  // none, and the thread sleeps until some come.
  static ActiveRun* const kAsleep;
  void link(ActiveRun& run, bool settles) noexcept;
  void wake_up() noexcept;
  // With the lock held: moves them to the end of queue_, the oldest first.
  void gather();

  void work();
  // With the lock held, which it gives up meanwhile.
  void commit_queue(std::unique_lock<std::mutex>& lock);
  // Likewise: for `pause`, or if `fresh` until something ends, since the store may be
  // away only for what failed. True: it was cut short.
  bool wait_to_retry(std::unique_lock<std::mutex>& lock, Duration pause, bool fresh);
  void keep_apart(bool retried, bool some);  // with the lock held
  void wait_for_store() noexcept;            // from here on, if not before
  // Commits what it can; what is to be tried again stays in `batch`, or goes to `apart`.
  void commit(Batch& batch, Batch& apart);
  void commit_apart(Batch& batch);  // each by itself
  void set_aside(Batch& batch);
  // From a run to what the store is told, and back where it could not be told.
  static void describe(ActiveRun& run, Finish& finish);
  static void keep(ActiveRun& run, Finish&& finish);
  static void renew(Finish& finish);
  struct Sums : EndCounts<std::size_t> {
    std::vector<Ticket> freed;
    std::vector<HookLine::End> ends;  // for the host's hooks
  };
  // Why it is to be tried again; nothing: it is done. `answer`: that it got already.
  std::optional<Error> try_alone(ActiveRun& run, Sums& sums,
                                 std::optional<Error> answer = {});
  // Likewise each of them: what fails goes to `apart`; after many in a row, to `rest`
  // what was not tried. The last error.
  std::optional<Error> try_each(const Batch& runs, Batch& apart, Batch& rest, Sums& sums);
  void note_failure(ActiveRun& run, const Error& error);
  void applied(ActiveRun& run, Finish& finish, Finished&& finished, Sums& sums);
  void count(Sums& sums);
  void retire_done(Sums& sums);

  Store& store_;
  const std::function<void(std::vector<Ticket>)> freed_;
  const std::function<void(Duration)> due_in_;
  HookLine hooks_;
  StoreStatus& status_;
  Totals& totals_;
  LogFn log_;
  const Bounds bounds_;
  const bool at_once_;
  Runner* runner_ = nullptr;

  std::atomic<ActiveRun*> ends_{nullptr};
  std::atomic<std::size_t> pending_{0};  // pushed, or about to be, and not committed
  // Since when the store is asked, or asked again, to take the next ends; the epoch: it
  // is not.
  std::atomic<Steady::time_point> waits_since_{};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable flushed_;
  Batch queue_;
  Batch apart_;  // the next that are tried by themselves, at apart_due_
  std::chrono::steady_clock::time_point apart_due_;
  Duration apart_backoff_{0};
  // Whoever is committing has these; they are kept for their memory.
  Batch batch_;
  Batch retried_;
  Batch failed_alone_;
  Batch done_;
  std::vector<Finish> finishes_;
  std::atomic<bool> stopping_{false};  // changes with the lock held
  bool asleep_ = false;      // the thread is: who empties ends_ leaves kAsleep there
  bool committing_ = false;  // somebody is: one at a time
  bool settle_again_ = false;
  bool failed_ = false;  // the front of the queue waits for a further try
  std::thread thread_;
};

}  // namespace carrel
