// The test mode: enqueue runs the job in the caller, through the store as always.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>
#include <tuple>

#include "active_run.h"
#include "engine_impl.h"
#include "finish.h"
#include "hooks.h"
#include "outcome.h"

namespace carrel {
namespace {

// Keeps what a run says, and lets the caller wait for the end of a program.
class InlineSink final : public RunSink, public ContextSink {
 public:
  InlineSink(std::function<void(const Progress&)> told, std::uint64_t max_checkpoint)
      : told_(std::move(told)), max_checkpoint_(max_checkpoint) {}

  void on_progress(float fraction, std::string_view message) noexcept override {
    const Progress progress = as_progress(fraction, message);
    told_(progress);
    std::lock_guard lock(mutex_);
    finish_.progress = progress;
  }
  void on_checkpoint(std::string_view bytes) noexcept override {
    if (const auto refused = refused_checkpoint(bytes.size(), max_checkpoint_)) {
      return on_log(*refused);
    }
    std::lock_guard lock(mutex_);
    finish_.checkpoint = std::string(bytes);
  }
  void on_log(std::string_view line) noexcept override {
    std::lock_guard lock(mutex_);
    finish_.log.append(as_log_line(line)).append(1, '\n');
  }
  void on_end(Outcome outcome) noexcept override {
    std::lock_guard lock(mutex_);
    outcome_ = std::move(outcome);
    ended_.notify_all();
  }

  void progress(float fraction, std::string_view message) override {
    on_progress(fraction, message);
  }
  void checkpoint(std::string_view bytes) override { on_checkpoint(bytes); }
  void log(std::string_view line) override { on_log(line); }
  std::stop_token stop() override { return {}; }
  bool stopping() override { return false; }

  bool ends_within(Duration time) {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, time, [&] { return outcome_.has_value(); });
  }
  Outcome wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return outcome_.has_value(); });
    return std::move(*outcome_);
  }
  // Call after the end.
  void add_words_to(Finish& finish) {
    finish.progress = std::move(finish_.progress);
    finish.checkpoint = std::move(finish_.checkpoint);
    finish.log = std::move(finish_.log);
  }

 private:
  const std::function<void(const Progress&)> told_;
  const std::uint64_t max_checkpoint_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<Outcome> outcome_;
  Finish finish_;
};

struct Ended {
  Outcome outcome;
  std::optional<StopReason> stop;
  Rung climbed = Rung::kNone;
};

Ended run_program(const Kind& kind, const Claimed& job,
                  const std::shared_ptr<InlineSink>& sink) {
  Limits limits = kind.spec.limits;
  if (job.timeout.count() > 0) limits.wall = job.timeout;
  Task task{std::make_shared<const Claimed>(job), limits, sink};
  auto started = kind.isolation->start({&task, 1});
  if (!started.front()) {
    return {failure(OutcomeClass::kFailed, std::move(started.front().error())), {}};
  }
  Run& run = **started.front();
  if (limits.wall.count() == 0 || sink->ends_within(limits.wall))
    return {sink->wait(), {}};
  // The ladder, on the caller's thread.
  Rung climbed = Rung::kStop;
  run.request_stop(StopReason::kTimeout);
  if (!sink->ends_within(limits.stop_grace)) {
    climbed = Rung::kTerm;
    run.terminate();
    if (!sink->ends_within(limits.term_grace)) {
      climbed = Rung::kKill;
      run.kill();
    }
  }
  return {sink->wait(), StopReason::kTimeout, climbed};
}

Ended run_handler(const Kind& kind, const Claimed& job, InlineSink& sink) {
  const auto started = std::chrono::steady_clock::now();
  Context context(job, sink, std::nullopt, kind.spec.kept, kind.spec.limits.result_bytes);
  Outcome outcome = outcome_of(invoke(kind.spec.handler, context),
                               kind.spec.limits.result_bytes, std::nullopt);
  outcome.usage.wall =
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - started);
  return {std::move(outcome), {}};
}

// Nobody would tell the store later.
Result<Finished> finish_patiently(Store& store, const Finish& finish) {
  using Steady = std::chrono::steady_clock;
  const auto end = Steady::now() + std::chrono::seconds(10);
  for (Duration pause = std::chrono::milliseconds(20);;
       pause = std::min<Duration>(pause * 2, std::chrono::seconds(1))) {
    auto answer = std::move(store.finish({&finish, 1}).front());
    if (answer || is_refusal(answer.error()) || Steady::now() + pause > end) {
      return answer;
    }
    std::this_thread::sleep_for(pause);
  }
}

// What the calling thread is to run of an engine: a handler that enqueues makes another
// within it.
class Nest {
 public:
  explicit Nest(const void* engine) : engine_(engine), outer_(innermost) {
    for (const Nest* nest = outer_; nest != nullptr; nest = nest->outer_) {
      depth_ += nest->engine_ == engine ? 1 : 0;
    }
    innermost = this;
  }
  ~Nest() { innermost = outer_; }
  Nest(const Nest&) = delete;
  Nest& operator=(const Nest&) = delete;

  // Each takes its part of the thread's stack. null: there may be another.
  static Nest* deepest(const void* engine) {
    constexpr int kMost = 32;
    for (Nest* nest = innermost; nest != nullptr; nest = nest->outer_) {
      if (nest->engine_ == engine) return nest->depth_ < kMost ? nullptr : nest;
    }
    return nullptr;
  }

  std::deque<Ticket> waiting;

 private:
  static thread_local Nest* innermost;
  const void* const engine_;
  Nest* const outer_;
  int depth_ = 1;
};

thread_local Nest* Nest::innermost = nullptr;

}  // namespace

void Engine::Impl::run_inline(std::span<const Ticket> tickets) {
  if (Nest* const deepest = Nest::deepest(this)) {
    deepest->waiting.insert(deepest->waiting.end(), tickets.begin(), tickets.end());
    return;
  }
  Nest nest(this);
  nest.waiting.assign(tickets.begin(), tickets.end());
  while (!nest.waiting.empty()) {
    const Ticket ticket = std::move(nest.waiting.front());
    nest.waiting.pop_front();
    for (Ticket& freed : run_inline(ticket)) nest.waiting.push_back(std::move(freed));
  }
}

std::vector<Ticket> Engine::Impl::run_inline(const Ticket& ticket) {
  const Kind* kind = kinds_.find(ticket.kind);
  if (kind == nullptr) return {};  // it waits, as it would for a worker
  // Nothing renews the lease here: it is as long as anybody may debug a handler.
  auto claimed = store->claim({&ticket, 1}, inline_worker_, ++inline_claims_,
                              std::chrono::hours(24));
  if (!claimed) log(LogLevel::kError, "inline: " + claimed.error().message);
  if (!claimed || !claimed->front()) return {};
  const Claimed& job = *claimed->front();
  const auto sink = std::make_shared<InlineSink>(
      [&](const Progress& progress) {
        const Inside inside(*door_, nullptr);
        tell(on_progress, log, job, progress);
      },
      store->traits().max_payload);
  Ended end =
      kind->spec.handler ? run_handler(*kind, job, *sink) : run_program(*kind, job, sink);
  Outcome& outcome = end.outcome;
  const Decision decision = decide(kind->retry, job, outcome, end.stop, 0.5);
  Finish finish;
  fill_finish(finish, job, outcome, decision, end.climbed);
  sink->add_words_to(finish);
  if (decision.verdict == Verdict::kCompleted) finish.result = outcome.result;
  auto answer = finish_patiently(*store, finish);
  if (!answer && is_refusal(answer.error())) {
    make_bare(finish, job, outcome, answer.error());
    answer = finish_patiently(*store, finish);
  }
  if (!answer) {
    log(LogLevel::kError, "inline: job " + std::to_string(value(job.lease.id)) +
                              ": its end cannot be stored: " + answer.error().message);
    // It runs again, rather than seem to run for as long as that lease.
    Finish release;
    release.lease = job.lease;
    release.verdict = Verdict::kInterrupted;
    std::ignore = store->finish({&release, 1});
    return {};
  }
  const Verdict verdict = verdict_of(finish, *answer, outcome);
  totals_.count(verdict);
  const Event event{job, outcome, verdict, answer->state};
  const Inside inside(*door_, nullptr);
  const std::lock_guard one_at_a_time(inline_hooks_);
  tell(on_finished, log, event);
  if (is_failure(verdict)) tell(on_failed, log, event);
  return std::move(answer->freed);
}

}  // namespace carrel
