// One run of a handler on a thread of this process: queued → running → ended, or
// abandoned.
#pragma once

#include <carrel/isolation.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

namespace carrel {

class Hand;
class ThreadPool;

// Threads: any. Whoever moves the phase to ended is the one that calls sink->on_end.
class ThreadRun final : public Run, public ContextSink {
 public:
  using Clock = std::chrono::steady_clock;
  // The pool outlives the run, but for an abandoned one; `kind` is kept by the pool's
  // threads (thread_pool.h), and is looked at by no other.
  ThreadRun(Task&& task, const KindSpec& kind, ThreadPool& pool)
      : job_(std::move(task.job)),
        limits_(task.limits),
        sink_(std::move(task.sink)),
        kind_(kind),
        pool_(pool) {}

  // On a pool thread; returns at once if it ended while queued. `rest`: what the thread
  // has at hand besides. `now`: the time, which moves on.
  void execute(const Hand& rest, Clock::time_point& now) noexcept;
  bool abandoned() const noexcept { return phase_.load() == kAbandoned; }
  // For how long it ran, and nobody waits for it any more; nothing: it does not.
  std::optional<Duration> try_abandon() noexcept;
  // Gives a run that has not begun back to the store, for so long.
  void set_aside(Duration pause, std::string why) noexcept;
  const Claimed& job() const noexcept { return *job_; }  // until it has ended

  // What the mutex isolation runs it under; set before it is posted.
  std::string key;

  void request_stop(StopReason reason) noexcept override;
  bool terminate() noexcept override { return false; }
  bool kill() noexcept override { return false; }
  Duration abandon() noexcept override;

  void progress(float fraction, std::string_view message) override;
  void checkpoint(std::string_view bytes) override;
  void log(std::string_view line) override;
  std::stop_token stop() override;
  bool stopping() override { return stop_reason_.load() >= 0; }

 private:
  enum Phase : int { kQueued, kRunning, kEnded, kAbandoned };
  std::optional<StopReason> stop_reason() const noexcept;
  bool end_unbegun(Outcome&& outcome) noexcept;  // false: it began, or has ended

  std::shared_ptr<const Claimed> job_;
  Limits limits_;
  std::shared_ptr<RunSink> sink_;
  const KindSpec& kind_;
  ThreadPool& pool_;
  std::atomic<int> phase_{kQueued};
  Clock::time_point started_{};       // before its phase says so
  std::atomic<int> stop_reason_{-1};  // a StopReason once asked
  // The source is made when a handler first asks for its token: most never do.
  std::mutex stop_mutex_;
  std::stop_source stop_source_{std::nostopstate};
};

}  // namespace carrel
