// One claimed job in this worker, from its claim until its finish is committed.
//
// It is the sink that its isolation reports to, and keeps what the next beat will carry.
// It never blocks, and with its lock held it calls only Runner::began(), which takes the
// runner's and the ladder's locks, and those call no run with them held. The host's
// progress hooks have a lock of their own: the end waits for the one that is being told,
// and none is told after it. So an abandoned thread reaches no host that is gone.
#pragma once

#include <carrel/isolation.h>
#include <carrel/retry.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "kind.h"
#include "queue_slots.h"

namespace carrel {

class Runner;

// What a run reports, within its bounds.
Progress as_progress(float fraction, std::string_view message);
std::string_view as_log_line(std::string_view line) noexcept;
// What its log says in place of a checkpoint of that many bytes; nothing: it may have up
// to `most`. 0: any.
std::optional<std::string> refused_checkpoint(std::size_t bytes, std::uint64_t most);

class ActiveRun final : public RunSink {
 public:
  // `its_kind` and `runner` outlive every run, but for those of abandoned threads, which
  // stop touching them when they are given up.
  using ProgressFn = std::function<void(const Claimed&, const Progress&)>;
  // `on_progress`: who hears of it; may be null.
  // `max_checkpoint`: bytes that the store takes; 0: any.
  ActiveRun(Claimed&& claimed, const Kind& its_kind, Runner& runner,
            std::shared_ptr<const ProgressFn> on_progress = nullptr,
            std::uint64_t max_checkpoint = 0)
      : job(std::move(claimed)),
        kind(its_kind),
        renewed(job.granted),
        runner_(runner),
        timed_(job.timeout.count() > 0 || its_kind.spec.limits.wall.count() > 0),
        on_progress_(std::move(on_progress)),
        max_checkpoint_(max_checkpoint) {}

  // How it ended, for the completer: none where it says nothing but the time. Most are
  // so, and what one thread need not write, another need not fetch.
  std::optional<Outcome> outcome;
  Duration wall{0};

  const Claimed job;
  const Kind& kind;

  Decision decision;  // filled at the end
  // Others follow at once. A hint: who abandons the run may read it before it is set.
  std::atomic<bool> more_ends{false};
  // What the store was told of the end and could not take yet.
  std::unique_ptr<Finish> unsent;
  // That was refused, and is a discard without result and news now: tried until it is
  // stored, whatever the answer.
  bool bare = false;
  bool failed_alone = false;  // it could not, and that was said
  // Since when its lease lasts, on boot_time(): its claim, or the last renewal. Only the
  // PulseLoop writes it.
  std::atomic<Duration> renewed;
  std::atomic<bool> passed_over{false};  // others held its row at the last. Likewise
  std::atomic<bool> fenced{false};       // it was ended because its lease is, or will be

  QueueSlots::Slot* slot = nullptr;  // that it has, until it ends; null: none

  // Places in tables of others, guarded by them.
  std::size_t index = 0;              // the Runner's
  bool busy = true;                   // counted among its busy ones
  bool has_place = true;              // in its lane, where it runs; else it waits there
  ActiveRun* ended_before = nullptr;  // the Completer's
  std::atomic<bool> on_ladder{false};
  std::pair<std::chrono::steady_clock::time_point, std::uint64_t> rung;  // the Ladder's
  std::optional<std::chrono::steady_clock::time_point> deadline;         // likewise

  // RunSink
  void on_start() noexcept override;
  void on_progress(float fraction, std::string_view message) noexcept override;
  void on_checkpoint(std::string_view bytes) noexcept override;
  void on_log(std::string_view line) noexcept override;
  void expect_more_ends() noexcept override {
    more_ends.store(true, std::memory_order_relaxed);
  }
  void on_end(Outcome end) noexcept override;

  // It waits no more: its isolation runs it.
  void begin() noexcept { begun_.store(true, std::memory_order_relaxed); }
  bool begun() const noexcept { return begun_.load(std::memory_order_relaxed); }
  // The isolation's handle; what was asked of the run meanwhile is passed on.
  void attach(std::shared_ptr<Run> run) noexcept;
  // The first reason stays; false: it was asked before.
  bool stop(StopReason reason) noexcept;
  std::optional<StopReason> stop_reason() const noexcept;
  const Outcome& known_outcome() const noexcept;
  Outcome& whole_outcome();
  // How far the ladder had gone when the run ended; of a run that has.
  Rung climbed() const noexcept { return climbed_; }
  // False: it cannot be done. Else it was, or will be as soon as there is a handle.
  bool terminate() noexcept;
  bool kill() noexcept;
  // Ends the run here with `end`, whatever its thread still does. Nothing if it had
  // ended.
  void abandon(Outcome end) noexcept;
  // Likewise, as out of time, without waiting for a progress hook that is just being
  // told: that may take its time, and whoever tells it does this afterwards.
  void give_up() noexcept;
  bool ended() const noexcept { return (marks_.load() & kEnded) != 0; }

  // What it reported goes with a beat or, what no beat has carried, with its end; and the
  // end waits for the beat that is under way, so that the store hears all in order.
  //
  // Moves what is new into `beat`; nothing of a run that has ended.
  void send_news(Beat& beat);
  // The beat is over. `failed`: it did, or was stale, and what it carried counts as news
  // again, unless something newer came. True: the end waited, and is the caller's to
  // push.
  bool news_sent(Beat* failed = nullptr);
  // Of a run that has ended: a beat carries news of it, whose news_sent() will be true.
  bool waits_for_beat();
  // Then: what goes with the end.
  void last_news(Beat& news);

 private:
  // With the lock held.
  Beat& fresh_news();
  void add_line(std::string_view line);
  void take_news(Beat& news);
  bool climb(Rung step) noexcept;  // kTerm or kKill
  std::uint8_t mark_ended(bool abandoned) noexcept;
  void end_once(Outcome&& end, bool abandoned) noexcept;
  void end_as(std::uint8_t before, Outcome&& end, bool abandoned) noexcept;

  // What has happened to the handle. Nearly every run is attached and ends, and nobody
  // looks at it in between: then these marks are all that it takes, and no lock.
  enum Mark : std::uint8_t {
    kAttached = 1,   // run_ is set, and changes no more but for its release at the end
    kEnded = 2,      // whoever set this releases run_, if it is attached
    kSeen = 4,       // somebody has taken the mutex for run_ or climbed_: so does the end
    kAbandoned = 8,  // with kEnded: what runs is to be told, also where it comes later
  };

  Runner& runner_;
  const bool timed_;  // its own: `kind` may be gone when an abandoned thread looks
  const std::shared_ptr<const ProgressFn> on_progress_;
  const std::uint64_t max_checkpoint_;
  std::atomic<std::uint8_t> marks_{0};
  std::atomic<bool> begun_{false};
  std::atomic<bool> has_news_{false};  // without it there is nothing to lock for
  std::atomic<bool> beating_{false};   // a beat carries some
  std::atomic<int> stop_{-1};          // a StopReason once asked
  // Guarded by mutex_; the first two once it is seen.
  std::shared_ptr<Run> run_;
  Rung climbed_ = Rung::kNone;  // changes no more after the end
  bool end_waits_ = false;      // for the beat
  bool given_up_ = false;
  std::unique_ptr<Beat> news_;  // that no beat has carried; its lease says nothing
  mutable std::mutex mutex_;
  std::mutex telling_;
};

}  // namespace carrel
