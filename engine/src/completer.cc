#include "completer.h"

#include <algorithm>

#include "finish.h"
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
      bound_(bound) {}

Completer::~Completer() { stop(); }

void Completer::start(Runner& runner) {
  runner_ = &runner;
  thread_ = named_thread("carrel-complete", [this] { work(); });
}

void Completer::push(std::shared_ptr<ActiveRun> run) noexcept {
  pending_.fetch_add(1);
  bool asleep = false;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(run));
    asleep = std::exchange(sleeping_, false);
  }
  if (asleep) wake_.notify_one();
}

void Completer::work() {
  Batch batch;
  Duration backoff = kFirstBackoff;
  std::unique_lock lock(mutex_);
  while (true) {
    if (batch.empty()) {
      // Set anew before each wait: a push that woke it for nothing has cleared it.
      wake_.wait(lock, [&] {
        sleeping_ = !stopping_ && queue_.empty();
        return !sleeping_;
      });
    } else {  // the store was away
      wake_.wait_for(lock, backoff, [&] { return stopping_; });
      backoff = std::min<Duration>(backoff * 2, kLastBackoff);
    }
    if (stopping_) {
      queue_.insert(queue_.begin(), batch.begin(), batch.end());
      return;
    }
    while (!queue_.empty() && batch.size() < kMaxBatch) {
      const auto take = std::min(kMaxBatch - batch.size(), queue_.size());
      batch.insert(
          batch.end(), std::make_move_iterator(queue_.begin()),
          std::make_move_iterator(queue_.begin() + static_cast<std::ptrdiff_t>(take)));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(take));
    }
    lock.unlock();
    const auto before = batch.size();
    commit(batch);
    if (batch.size() < before) backoff = kFirstBackoff;
    lock.lock();
    if (pending_.load() == 0) flushed_.notify_all();
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
    run.finish = std::move(finishes[i]);
    if (answers[i]) {
      status_.answered();
      applied(run, std::move(*answers[i]), freed);
      done.push_back(std::move(batch[i]));
    } else if (answers[i].error().code == Code::kUnavailable) {
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

void Completer::applied(ActiveRun& run, Finished&& finished, std::vector<Ticket>& freed) {
  if (finished.kind == Finished::Kind::kStale) {
    totals_.stale.fetch_add(1);
    log_(LogLevel::kWarn, "job " + std::to_string(value(run.job.lease.id)) +
                              ": its lease was lost; what this run did is dropped");
    return;
  }
  for (auto& ticket : finished.freed) freed.push_back(std::move(ticket));
  const Verdict verdict = run.finish.verdict;
  if (verdict == Verdict::kCompleted) totals_.completed.fetch_add(1);
  if (verdict == Verdict::kCancelled) totals_.cancelled.fetch_add(1);
  if (verdict == Verdict::kRetry || verdict == Verdict::kDiscarded) {
    totals_.failed.fetch_add(1);
  }
  if (hooks_.due_in && (verdict == Verdict::kRetry || verdict == Verdict::kSnoozed)) {
    hooks_.due_in(run.finish.retry_in);
  }
  if (hooks_.finished.empty() && hooks_.failed.empty()) return;
  run.outcome.result = run.finish.result;
  const Event event{run.job, run.outcome, verdict, finished.state};
  const auto tell = [&](const std::vector<Hook>& hooks) {
    for (const auto& hook : hooks) {
      try {
        hook(event);
      } catch (const std::exception& e) {
        log_(LogLevel::kError, std::string("a hook threw: ") + e.what());
      } catch (...) {
        log_(LogLevel::kError, "a hook threw something that is no std::exception");
      }
    }
  };
  tell(hooks_.finished);
  if (is_failure(verdict)) tell(hooks_.failed);
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
  for (const auto& run : queue_) {
    log_(LogLevel::kError, "job " + std::to_string(value(run->job.lease.id)) +
                               ": its end was not stored; it will run again");
  }
}

}  // namespace carrel
