#include "completer.h"

#include <algorithm>

#include "finish.h"
#include "hooks.h"
#include "runner.h"
#include "threads.h"

namespace carrel {
namespace {

constexpr std::size_t kMaxBatch = 1024;
constexpr auto kFirstBackoff = std::chrono::milliseconds(20);
constexpr auto kLastBackoff = std::chrono::seconds(2);

}  // namespace

Completer::Completer(Store& store, Hooks hooks, StoreStatus& status, Totals& totals,
                     LogFn log, std::size_t bound)
    : store_(store),
      hooks_(std::move(hooks)),
      status_(status),
      totals_(totals),
      log_(std::move(log)),
      bound_(bound),
      at_once_(!store.traits().blocks && hooks_.finished.empty() &&
               hooks_.failed.empty()) {}

Completer::~Completer() { stop(); }

void Completer::start(Runner& runner) {
  runner_ = &runner;
  thread_ = named_thread("carrel-complete", [this] { work(); });
}

void Completer::push(std::shared_ptr<ActiveRun> run, bool more) noexcept {
  pending_.fetch_add(1);
  bool asleep = false;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(run));
    if (more || !at_once_) asleep = std::exchange(sleeping_, false);
  }
  if (asleep) wake_.notify_one();
}

void Completer::settle() noexcept {
  if (!at_once_) return;
  std::unique_lock lock(mutex_);
  if (committing_) {
    settle_again_ = true;
  } else if (!failed_ && !stopping_) {
    commit_queue(lock);
  }
}

void Completer::commit_queue(std::unique_lock<std::mutex>& lock) {
  committing_ = true;
  failed_ = false;
  do {
    settle_again_ = false;
    const auto end =
        queue_.begin() + static_cast<std::ptrdiff_t>(std::min(kMaxBatch, queue_.size()));
    batch_.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
    lock.unlock();
    commit(batch_);
    lock.lock();
    if (!batch_.empty()) {  // the store was away: the thread tries again
      failed_ = true;
      queue_.insert(queue_.begin(), std::make_move_iterator(batch_.begin()),
                    std::make_move_iterator(batch_.end()));
      if (std::exchange(sleeping_, false)) wake_.notify_one();
    }
  } while (settle_again_ && !failed_);
  committing_ = false;
  if (stopping_ || pending_.load() == 0) flushed_.notify_all();
}

void Completer::work() {
  // For how long an end may be put off in the hope of more.
  constexpr Duration kTick = std::chrono::milliseconds(1);
  Duration backoff = kFirstBackoff;
  std::unique_lock lock(mutex_);
  while (true) {
    // Set anew before each wait: a push that woke it for nothing has cleared it.
    wake_.wait(lock, [&] {
      sleeping_ = !stopping_ && queue_.empty();
      return !sleeping_;
    });
    if (failed_) {
      wake_.wait_for(lock, backoff, [&] { return stopping_; });
      backoff = std::min<Duration>(backoff * 2, kLastBackoff);
    } else if (at_once_) {
      wake_.wait_for(lock, kTick, [&] { return stopping_; });
    }
    if (stopping_) return;
    if (committing_ || queue_.empty()) continue;
    const auto before = pending_.load();
    commit_queue(lock);
    if (!failed_ || pending_.load() < before) backoff = kFirstBackoff;
  }
}

void Completer::commit(Batch& batch) {
  std::vector<Finish> finishes;
  finishes.reserve(batch.size());
  for (auto& run : batch) {
    Finish& finish = run->finish;
    Beat news;
    run->take_news(news);  // what no beat has carried goes with the end
    if (news.progress) finish.progress = std::move(news.progress);
    if (news.checkpoint) finish.checkpoint = std::move(news.checkpoint);
    finish.log += news.log;
    if (finish.verdict == Verdict::kCompleted)
      finish.result = std::move(run->outcome.result);
    finishes.push_back(std::move(finish));
  }
  auto answers = store_.finish(finishes);
  Batch again;
  Batch done;
  std::vector<Ticket> freed;
  done.reserve(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    ActiveRun& run = *batch[i];
    if (answers[i]) {
      status_.answered();
      applied(run, std::move(finishes[i]), std::move(*answers[i]), freed);
      done.push_back(std::move(batch[i]));
      continue;
    }
    run.finish = std::move(finishes[i]);
    if (answers[i].error().code == Code::kUnavailable) {
      status_.failed("finish", answers[i].error());
      run.outcome.result = std::move(run.finish.result);
      again.push_back(std::move(batch[i]));
    } else if (run.finish.verdict == Verdict::kDiscarded) {
      // Not even its failure can be stored: the lease gives the job back.
      log_(LogLevel::kError,
           "job " + std::to_string(value(run.job.lease.id)) +
               ": its end cannot be stored: " + answers[i].error().message);
      done.push_back(std::move(batch[i]));
    } else {
      cannot_store(run, answers[i].error());
      again.push_back(std::move(batch[i]));
    }
  }
  batch = std::move(again);
  pending_.fetch_sub(done.size());
  runner_->retire(done);
  if (!freed.empty() && hooks_.freed) hooks_.freed(std::move(freed));
}

void Completer::applied(ActiveRun& run, Finish&& finish, Finished&& finished,
                        std::vector<Ticket>& freed) {
  if (finished.kind == Finished::Kind::kStale) {
    totals_.stale.fetch_add(1);
    log_(LogLevel::kWarn, "job " + std::to_string(value(run.job.lease.id)) +
                              ": its lease was lost; what this run did is dropped");
    return;
  }
  for (auto& ticket : finished.freed) freed.push_back(std::move(ticket));
  const Verdict verdict = verdict_of(finish, finished, run.outcome);
  if (verdict == Verdict::kCompleted) totals_.completed.fetch_add(1);
  if (verdict == Verdict::kCancelled) totals_.cancelled.fetch_add(1);
  if (verdict == Verdict::kRetry || verdict == Verdict::kDiscarded) {
    totals_.failed.fetch_add(1);
  }
  if (hooks_.due_in && (verdict == Verdict::kRetry || verdict == Verdict::kSnoozed)) {
    hooks_.due_in(finish.retry_in);
  }
  if (hooks_.finished.empty() && hooks_.failed.empty()) return;
  run.outcome.result = std::move(finish.result);
  const Event event{run.job, run.outcome, verdict, finished.state};
  tell(hooks_.finished, log_, event);
  if (is_failure(verdict)) tell(hooks_.failed, log_, event);
}

// The store refuses this row for good: the attempt fails instead, and no retry can mend
// it.
void Completer::cannot_store(ActiveRun& run, const Error& error) {
  Finish& finish = run.finish;
  finish.verdict = Verdict::kDiscarded;
  finish.retry_in = Duration{0};
  finish.result.clear();
  finish.progress.reset();
  finish.checkpoint.reset();
  finish.log.clear();
  run.outcome.klass = OutcomeClass::kDiscarded;
  run.outcome.result.clear();
  run.outcome.error = {error.code, "the result cannot be stored: " + error.message};
  Attempt attempt;
  attempt.attempt = run.job.attempt;
  attempt.fence = run.job.lease.fence;
  attempt.klass = OutcomeClass::kDiscarded;
  attempt.code = error.code;
  attempt.message = run.outcome.error.message;
  attempt.usage = run.outcome.usage;
  finish.attempt = std::move(attempt);
}

bool Completer::flush(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  return flushed_.wait_until(lock, until, [&] { return pending_.load() == 0; });
}

void Completer::stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::unique_lock lock(mutex_);
  flushed_.wait(lock, [&] { return !committing_; });
  for (const auto& run : queue_) {
    log_(LogLevel::kError, "job " + std::to_string(value(run->job.lease.id)) +
                               ": its end was not stored; it will run again");
  }
}

}  // namespace carrel
