#include "group_commit.h"

#include <algorithm>

#include "threads.h"

namespace carrel::sql {

using SteadyClock = std::chrono::steady_clock;

GroupCommit::GroupCommit(Transactor& transactor, Duration tick)
    : transactor_(transactor), tick_(tick) {
  thread_ = named_thread("carrel-sql", [this] { loop(); });
}

GroupCommit::~GroupCommit() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Result<void> GroupCommit::run(const std::function<void()>& work,
                              std::optional<Duration> deadline) {
  Operation operation{.work = &work};
  std::unique_lock lock(mutex_);
  if (!busy_ && crowd_ <= 1 && queue_.empty() && transactor_.begins_at_once()) {
    busy_ = true;
    lock.unlock();
    Operation* const alone = &operation;
    turn({&alone, 1}, transactor_.begin());
    lock.lock();
    busy_ = false;
    if (!queue_.empty() || ticking_) wake_.notify_one();
    lock.unlock();
    if (operation.error) return tl::unexpected(std::move(*operation.error));
    return {};
  }
  queue_.push_back(&operation);
  if (queue_.size() == 1 && !busy_) wake_.notify_one();  // else whoever is busy looks
  const auto done = [&] { return operation.done; };
  // A longer one would pass the end of the clock.
  constexpr Duration kLongest = std::chrono::hours(24 * 365);
  if (deadline && *deadline < kLongest &&
      !operation.heard.wait_for(lock, *deadline, done)) {
    const auto waiting = std::find(queue_.begin(), queue_.end(), &operation);
    if (waiting != queue_.end()) {
      queue_.erase(waiting);
      return fail(Code::kUnavailable, "the store did not get to it before its deadline");
    }
  }
  operation.heard.wait(lock, done);
  if (operation.error) return tl::unexpected(std::move(*operation.error));
  return {};
}

std::size_t GroupCommit::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

void GroupCommit::nudge() noexcept {
  if (ticking_) return;
  const std::lock_guard lock(mutex_);
  ticking_ = true;
  wake_.notify_one();
}

std::vector<GroupCommit::Operation*> GroupCommit::take() {
  std::vector<Operation*> operations(queue_.begin(), queue_.end());
  queue_.clear();
  return operations;
}

// Who was answered together comes again together, once it has had a processor: a
// transaction that begins with the first of them costs the others another one.
void GroupCommit::await_crowd(std::unique_lock<std::mutex>& lock) noexcept {
  if (crowd_ <= 1) return;
  for (std::size_t tries = 0; tries < 2 * crowd_ && queue_.size() < crowd_; ++tries) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
}

void GroupCommit::loop() noexcept {
  auto next_tick = SteadyClock::now() + tick_;
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto has_work = [&] { return !busy_ && (stopping_ || !queue_.empty()); };
    if (ticking_) {
      wake_.wait_until(lock, next_tick, has_work);
    } else {
      wake_.wait(lock, [&] { return has_work() || (!busy_ && ticking_); });
    }
    if (busy_) {
      wake_.wait(lock, [&] { return !busy_; });
      continue;
    }
    if (queue_.empty() && stopping_) return;
    busy_ = true;
    if (!queue_.empty()) {
      // Where a begin takes a lock, others wait for it: the crowd is not waited for then.
      const bool waits_for_crowd = transactor_.begins_at_once();
      lock.unlock();
      auto begun = transactor_.begin();
      // Only now: what came while the transaction waited to begin is part of it.
      lock.lock();
      if (waits_for_crowd) await_crowd(lock);
      std::vector<Operation*> operations = take();
      lock.unlock();
      turn(operations, begun);
      lock.lock();
      crowd_ = operations.size();
      for (Operation* operation : operations) {
        operation->done = true;
        // Under the lock: once it hears, the operation is gone.
        operation->heard.notify_one();
      }
    }
    if (const auto begin = SteadyClock::now(); ticking_ && begin >= next_tick) {
      lock.unlock();
      transactor_.tick();
      lock.lock();
      const auto end = SteadyClock::now();
      next_tick = std::max(begin + tick_, end + 9 * (end - begin));
      // In this order: who begins to wait in between either sees it false and nudges, or
      // is seen here.
      ticking_ = false;
      if (transactor_.wants_ticks()) ticking_ = true;
    }
    busy_ = false;
  }
}

void GroupCommit::turn(Operations operations, const Result<void>& begun) noexcept {
  if (begun) {
    transact(operations);
    transactor_.end();
  } else {
    for (Operation* operation : operations) operation->error = begun.error();
  }
}

void GroupCommit::transact(Operations operations) noexcept {
  if (operations.empty()) {
    transactor_.rollback();
    return;
  }
  // An operation that began a transaction and asks for another has lost a conflict, too.
  constexpr int kMost = 20;
  for (int lost = 0;;) {
    std::size_t done = 0;
    const bool stored = insist(operations, done);
    if (!stored && done > 1) redo(operations.first(done));
    operations = operations.subspan(done);
    if (operations.empty()) return;
    lost = done == 0 ? lost + 1 : 0;
    if (lost == kMost) {
      operations.front()->error =
          Error{.code = Code::kUnavailable, .message = "others hold what it needs"};
      operations = operations.subspan(1);
      if (operations.empty()) return;
      lost = 0;
    }
    if (auto begun = transactor_.begin(); !begun) {
      for (Operation* operation : operations) operation->error = begun.error();
      return;
    }
  }
}

void GroupCommit::redo(Operations failed) noexcept {
  switch (transactor_.redo()) {
    case Transactor::Redo::kOthers: {
      if (culprit_ == nullptr) break;
      std::vector<Operation*> others(failed.begin(), failed.end());
      std::erase(others, culprit_);
      begin_and_transact(others);
      return;
    }
    case Transactor::Redo::kAlone:
      break;
    default:
      return;
  }
  // One of them cannot be done, and took the others' work with it: each by itself, so
  // that only that one fails.
  for (Operation* const& operation : failed) begin_and_transact({&operation, 1});
}

void GroupCommit::begin_and_transact(Operations operations) noexcept {
  for (Operation* operation : operations) operation->error.reset();
  if (auto begun = transactor_.begin(); !begun) {
    for (Operation* operation : operations) operation->error = begun.error();
    return;
  }
  transact(operations);
}

bool GroupCommit::insist(Operations operations, std::size_t& done) noexcept {
  // Who loses a conflict loses to somebody who goes on: this many in a row are a defect.
  constexpr int kMost = 20;
  for (int lost = 0;; ++lost) {
    if (try_together(operations, done)) return true;
    if (transactor_.redo() != Transactor::Redo::kTogether || lost == kMost) return false;
    if (auto begun = transactor_.begin(); !begun) {
      for (Operation* operation : operations) operation->error = begun.error();
      done = operations.size();
      return false;
    }
    for (Operation* operation : operations) operation->error.reset();
  }
}

bool GroupCommit::try_together(Operations operations, std::size_t& done) noexcept {
  done = 0;
  culprit_ = nullptr;
  try {
    try {
      for (Operation* operation : operations) {
        culprit_ = operation;
        if (done + 1 == operations.size()) transactor_.last();
        (*operation->work)();
        ++done;
      }
    } catch (const NextTransaction&) {
      operations = operations.first(done);
    }
    culprit_ = nullptr;
    transactor_.commit();
  } catch (...) {
    const Error error = transactor_.current_error();
    transactor_.rollback();
    for (Operation* operation : operations) operation->error = error;
    done = operations.size();
    return false;
  }
  transactor_.committed();
  return true;
}

}  // namespace carrel::sql
