// The runner: turns claimed jobs into runs, keeps count of them, and hands the ended to
// the completer.
//
// Slots: at most `concurrency` runs at once in each isolation. With `prefetch` that many
// more jobs are claimed ahead; they wait inside an isolation that queues, or here.
#pragma once

#include <carrel/job.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "active_run.h"
#include "kind.h"
#include "ladder.h"
#include "queue_slots.h"

namespace carrel {

class Completer;

class Runner {
 public:
  using RunPtr = std::shared_ptr<ActiveRun>;
  struct Size {
    std::size_t concurrency = 1;
    std::size_t prefetch = 0;
    std::uint64_t max_checkpoint = 0;  // bytes; 0: any
  };
  Runner(const KindTable& kinds, Size size,
         const std::map<std::string, QueueConfig>& queues, Ladder& ladder,
         Completer& completer);
  // `told` hears, on the thread that made it, of room that finishes have made, or hooks
  // that were behind; it is called with no lock held, and set before the first launch.
  void on_room(std::function<void()> told) { on_room_ = std::move(told); }
  // Hears the progress of every run; set before the first launch.
  void on_progress(ActiveRun::ProgressFn told) {
    on_progress_ = std::make_shared<const ActiveRun::ProgressFn>(std::move(told));
  }
  // Likewise `told`, when a job ends whose queue had as many here as it may have.
  void on_queue_room(std::function<void()> told) { on_queue_room_ = std::move(told); }
  ~Runner();  // no run is left

  // Blocks until jobs may be claimed, and says how many; 0: interrupted. One caller.
  std::size_t wait_for_room();
  std::size_t room() const noexcept;
  // Enough room for a claim to be worth while: with a prefetch, claims are made in halves
  // of it rather than one by one.
  bool has_room() const noexcept { return room() >= batch_; }
  void interrupt();
  // Of queues that may have only so many jobs here.
  const QueueSlots& slots() const noexcept { return slots_; }

  // Registers the jobs, so that the next beat names them, and starts them.
  void launch(std::vector<Claimed> jobs);

  // Asks every run of `id` here to stop; false: none is here.
  bool cancel(JobId id);
  // Ends a run that was told to stop, as soon as it can be: its lease is lost. `asked`:
  // it had been told before, and the ladder is climbed.
  void drop(const RunPtr& run, bool asked);
  // Also those that are launched later; what waits here for its turn by now ends at once.
  void stop_all(StopReason reason);
  void terminate_all();
  void kill_all();
  // Ends all that is left as stopped by the shutdown; for runs that cannot be killed.
  void abandon_all();
  // Until no run is left, at most until then. True: none is.
  bool wait_idle(std::chrono::steady_clock::time_point until);
  // Likewise, at most until the soonest time that hurry() was given, before or meanwhile.
  bool wait_grace();
  void hurry(std::chrono::steady_clock::time_point until);
  // Likewise, but for runs that cannot be killed.
  bool wait_killed(std::chrono::steady_clock::time_point until);
  // Until the threads that reported an end are out of here and of what they call. No run
  // is left.
  void wait_reported() const noexcept;
  // Until fewer than `busy` runs are left, poke() or interrupt(); at most until then.
  void wait_below(std::size_t busy, std::chrono::steady_clock::time_point until);
  // Ends that wait, or else the next.
  void poke();

  // Every lease that is held here: runs, and ended ones whose finish is not committed.
  std::vector<RunPtr> leases() const;
  std::size_t busy() const noexcept { return busy_.load(); }

  // From a run.
  void began(ActiveRun& run);
  void ended(ActiveRun& run) noexcept;
  // From the pulse: the beat that the end of `run` waited for is over.
  void end_on(ActiveRun& run) noexcept;
  // From the completer, one call at a time: their finish is committed, or their lease is
  // lost. They may be gone after it.
  void retire(const std::vector<ActiveRun*>& runs);
  // From the completer: a run that was not retired.
  RunPtr held(const ActiveRun& run) const;
  // Likewise, from any of its threads: it may keep up again.
  void tell_room();
  // From the completer: the store is away, or a beat under way, and they wait for it in
  // no slot.
  void put_off(const std::vector<ActiveRun*>& runs);

 private:
  void start(std::span<const RunPtr> runs);
  bool enter_lane(RunPtr& run, std::vector<RunPtr>& stopped);
  bool leave_lane(const RunPtr& run);
  static void end_waiting(ActiveRun& run);
  void refuse(ActiveRun& run, Error error);
  void arm(const RunPtr& run);
  void refill(const Kind& kind);
  void start_in_turn(RunPtr run);
  void release(std::size_t slots) noexcept;
  void tell_waiters() noexcept;
  // `until` is read anew after every wake.
  template <class Predicate>
  bool wait(const std::chrono::steady_clock::time_point& until, Predicate done);

  const KindTable& kinds_;
  const Size size_;
  const std::size_t batch_;
  std::function<void()> on_room_;
  std::shared_ptr<const ActiveRun::ProgressFn> on_progress_;
  std::function<void()> on_queue_room_;
  QueueSlots slots_;
  Ladder& ladder_;
  Completer& completer_;

  std::atomic<std::size_t> busy_{0};
  std::atomic<std::size_t> reporting_{0};  // threads inside ended()
  mutable std::mutex leases_mutex_;
  std::vector<RunPtr> leases_;   // in no order
  std::vector<RunPtr> retired_;  // of retire(), kept for its memory
  std::optional<StopReason> stopping_;

  // Jobs that a non-queueing isolation has no slot for yet, and how many it runs.
  struct Lane {
    std::size_t running = 0;
    std::deque<RunPtr> waiting;
  };
  std::mutex lanes_mutex_;
  std::map<const Isolation*, Lane> lanes_;

  std::mutex wait_mutex_;
  std::condition_variable changed_;
  std::atomic<int> waiters_{0};
  std::atomic<std::size_t> wake_at_busy_{
      0};  // a waiter wants to hear once busy is this low
  bool interrupted_ = false;
  bool poked_ = false;
  std::chrono::steady_clock::time_point grace_end_ =
      std::chrono::steady_clock::time_point::max();
};

}  // namespace carrel
