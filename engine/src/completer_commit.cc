// What the store is told of how runs ended, and what becomes of its answers.
#include <utility>

#include "completer.h"
#include "finish.h"
#include "runner.h"

namespace carrel {
namespace {

const std::size_t kNoText = std::string().capacity();  // without memory of its own

}  // namespace

void Completer::describe(ActiveRun& run, Finish& finish) {
  if (run.unsent) {
    finish = std::move(*run.unsent);
    run.unsent.reset();
  } else {
    fill_finish(finish, run.job, run.known_outcome(), run.decision, run.climbed());
  }
  Beat news;
  run.last_news(news);
  if (news.progress) finish.progress = std::move(news.progress);
  if (news.checkpoint) finish.checkpoint = std::move(news.checkpoint);
  if (!news.log.empty()) finish.log += news.log;
  if (finish.verdict == Verdict::kCompleted && run.outcome) {
    finish.result = std::move(run.outcome->result);
  }
}

// fill_finish() sets the rest.
void Completer::renew(Finish& finish) {
  if (finish.attempt || finish.progress || finish.checkpoint ||
      finish.result.capacity() > kNoText || finish.log.capacity() > kNoText) {
    finish = Finish();
  } else {
    finish.result.clear();
    finish.log.clear();
  }
}

void Completer::keep(ActiveRun& run, Finish&& finish) {
  run.whole_outcome().result = std::move(finish.result);
  run.unsent = std::make_unique<Finish>(std::move(finish));
}

// Those that wait for a beat are pushed again after it.
void Completer::set_aside(Batch& batch) {
  Batch waiting;
  std::erase_if(batch, [&](ActiveRun* run) {
    const bool waits = run->waits_for_beat();
    if (waits) waiting.push_back(run);
    return waits;
  });
  if (!waiting.empty()) runner_->put_off(waiting);
}

void Completer::commit(Batch& batch, Batch& apart) {
  set_aside(batch);
  if (batch.empty()) return;
  if (!at_once_) wait_for_store();
  // Those of earlier batches are as good as new, and large to make.
  if (finishes_.size() < batch.size()) finishes_.resize(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) describe(*batch[i], finishes_[i]);
  const std::span<Finish> finishes(finishes_.data(), batch.size());
  auto answers = store_.finish(finishes);
  Batch away;     // what the store was away for, or others hold
  Batch doubted;  // what failed, perhaps with another
  Sums sums;
  std::optional<Error> error;
  std::optional<Error> unavailable;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    ActiveRun& run = *batch[i];
    if (answers[i]) {
      applied(run, finishes_[i], std::move(*answers[i]), sums);
      done_.push_back(&run);
      continue;
    }
    keep(run, std::move(finishes_[i]));
    if (answers[i].error().code == Code::kUnavailable) {
      unavailable = std::move(answers[i].error());
      away.push_back(&run);
    } else {
      error = std::move(answers[i].error());
      doubted.push_back(&run);
    }
  }
  for (Finish& finish : finishes) renew(finish);
  Batch again;
  if (batch.size() == 1 && !doubted.empty()) {
    error = try_alone(*doubted[0], sums, std::move(error));
    if (error) apart.push_back(doubted[0]);
  } else if (!doubted.empty()) {
    if (auto last = try_each(doubted, apart, again, sums)) error = std::move(last);
  }
  if (done_.empty() || !again.empty()) {
    again.insert(again.end(), away.begin(), away.end());
  } else {
    for (ActiveRun* run : away) {
      note_failure(*run, *unavailable);
      apart.push_back(run);
    }
  }
  if (!done_.empty()) {
    status_.answered(StoreCall::kFinish, true);
  } else if (away.size() == 1) {
    status_.doubt(*unavailable);
    note_failure(*away.front(), *unavailable);
  } else {
    status_.failed(StoreCall::kFinish, unavailable ? *unavailable : *error);
  }
  batch.swap(again);
  // Before anybody hears of room below, who is to find it.
  if (batch.empty()) {
    waits_since_ = Steady::time_point{};
  } else {
    wait_for_store();
  }
  retire_done(sums);
  if (!batch.empty()) runner_->put_off(batch);
  if (!apart.empty()) runner_->put_off(apart);
}

void Completer::commit_apart(Batch& batch) {
  Batch failed;
  Batch rest;
  Sums sums;
  if (!at_once_) wait_for_store();
  try_each(batch, failed, rest, sums);
  if (!done_.empty()) status_.answered(StoreCall::kFinish, true);
  rest.insert(rest.end(), failed.begin(), failed.end());  // their turn comes last
  batch.swap(rest);
  waits_since_ = Steady::time_point{};
  retire_done(sums);
}

std::optional<Error> Completer::try_each(const Batch& runs, Batch& apart, Batch& rest,
                                         Sums& sums) {
  constexpr std::size_t kMany = 8;  // it is not about these, most likely
  std::optional<Error> last;
  std::size_t in_a_row = 0;
  for (ActiveRun* run : runs) {
    if (in_a_row == kMany || stopping_) {
      rest.push_back(run);
    } else if (auto error = try_alone(*run, sums)) {
      apart.push_back(run);
      last = std::move(error);
      ++in_a_row;
    } else {
      in_a_row = 0;
    }
  }
  return last;
}

std::optional<Error> Completer::try_alone(ActiveRun& run, Sums& sums,
                                          std::optional<Error> answer) {
  for (;; answer.reset()) {
    if (!answer) {
      Finish finish;
      describe(run, finish);
      auto finished = std::move(store_.finish({&finish, 1}).front());
      if (finished) {
        applied(run, finish, std::move(*finished), sums);
        done_.push_back(&run);
        return std::nullopt;
      }
      keep(run, std::move(finish));
      answer = std::move(finished.error());
    }
    // One whose failure cannot be stored either stays named in the beats: else it would
    // be set free, run again and come to this again.
    if (run.bare || !is_refusal(*answer)) {
      note_failure(run, *answer);
      return answer;
    }
    run.bare = true;
    make_bare(*run.unsent, run.job, run.whole_outcome(), *answer);
  }
}

void Completer::note_failure(ActiveRun& run, const Error& error) {
  if (std::exchange(run.failed_alone, true)) return;
  log_(LogLevel::kWarn,
       "job " + std::to_string(value(run.job.lease.id)) +
           ": its end could not be stored yet, and is tried again: " + error.message);
}

void Completer::retire_done(Sums& sums) {
  count(sums);
  // Before it counts as done: who drains would look for them too early.
  if (!sums.freed.empty() && freed_) freed_(std::move(sums.freed));
  if (!sums.ends.empty()) hooks_.add(std::move(sums.ends));
  pending_.fetch_sub(done_.size());
  runner_->retire(done_);
  done_.clear();
}

void Completer::applied(ActiveRun& run, Finish& finish, Finished&& finished, Sums& sums) {
  if (finished.kind == Finished::Kind::kStale) {
    totals_.stale.fetch_add(1);
    log_(LogLevel::kWarn, "job " + std::to_string(value(run.job.lease.id)) +
                              ": its lease was lost; what this run did is dropped");
    return;
  }
  for (auto& ticket : finished.freed) sums.freed.push_back(std::move(ticket));
  const Verdict verdict = finished.kind == Finished::Kind::kAlready
                              ? verdict_of(finish, finished, run.whole_outcome())
                              : finish.verdict;
  sums.count(verdict);
  if (due_in_ && (verdict == Verdict::kRetry || verdict == Verdict::kSnoozed)) {
    due_in_(finish.retry_in);
  }
  if (!hooks_.any()) return;
  run.whole_outcome().result = std::move(finish.result);
  sums.ends.push_back({runner_->held(run), verdict, finished.state});
}

void Completer::count(Sums& sums) {
  if (const auto n = std::exchange(sums.completed, 0)) totals_.completed.fetch_add(n);
  if (const auto n = std::exchange(sums.failed, 0)) totals_.failed.fetch_add(n);
  if (const auto n = std::exchange(sums.cancelled, 0)) totals_.cancelled.fetch_add(n);
}

}  // namespace carrel
