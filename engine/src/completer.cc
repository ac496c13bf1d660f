#include "completer.h"

#include <algorithm>
#include <utility>

#include "runner.h"
#include "threads.h"

namespace carrel {
namespace {

constexpr std::size_t kMaxBatch = 1024;
constexpr auto kFirstBackoff = std::chrono::milliseconds(20);
constexpr auto kLastBackoff = std::chrono::seconds(2);

alignas(ActiveRun) char asleep;  // an address that no run has

}  // namespace

ActiveRun* const Completer::kAsleep = reinterpret_cast<ActiveRun*>(&asleep);

Completer::Completer(Store& store, Hooks hooks, StoreStatus& status, Totals& totals,
                     LogFn log, Bounds bounds)
    : store_(store),
      freed_(std::move(hooks.freed)),
      due_in_(std::move(hooks.due_in)),
      hooks_(std::move(hooks.host), log),
      status_(status),
      totals_(totals),
      log_(std::move(log)),
      bounds_(bounds),
      at_once_(!store.traits().blocks && !hooks_.any()) {}

Completer::~Completer() { stop(); }

void Completer::start(Runner& runner) {
  runner_ = &runner;
  hooks_.start([this] { runner_->tell_room(); });
  thread_ = named_thread("carrel-complete", [this] { work(); });
}

bool Completer::keeps_up() const noexcept {
  const std::size_t pending = pending_.load();
  if (pending + hooks_.untold() >= bounds_.waiting) return false;
  if (pending <= bounds_.slow) return true;
  const auto since = waits_since_.load();
  return since == Steady::time_point{} || Steady::now() - since <= bounds_.patience;
}

void Completer::wait_for_store() noexcept {
  if (waits_since_.load() == Steady::time_point{}) waits_since_ = Steady::now();
}

bool Completer::push_quietly(ActiveRun& run) noexcept {
  ActiveRun* newest = ends_.load();
  if (newest == kAsleep) return false;
  pending_.fetch_add(1);
  do {
    if (newest == kAsleep) {  // it fell asleep just now
      pending_.fetch_sub(1);  // nobody can have missed it: the run is busy still
      return false;
    }
    run.ended_before = newest;
  } while (!ends_.compare_exchange_weak(newest, &run));
  return true;
}

void Completer::push(ActiveRun& run) noexcept {
  pending_.fetch_add(1);
  link(run, at_once_ && !run.more_ends);
}

void Completer::push_waited(ActiveRun& run) noexcept { link(run, false); }

// `settles`: the caller does, next.
void Completer::link(ActiveRun& run, bool settles) noexcept {
  ActiveRun* newest = ends_.load();
  do {
    run.ended_before = newest == kAsleep ? nullptr : newest;
  } while (!ends_.compare_exchange_weak(newest, &run));
  if (newest == kAsleep && !settles) wake_up();
}

void Completer::wake_up() noexcept {
  {
    std::lock_guard lock(mutex_);
    // From here on it counts as awake, however long its way: else whoever commits
    // meanwhile would leave kAsleep, and the next end would wake it again.
    asleep_ = false;
  }
  wake_.notify_one();
}

void Completer::gather() {
  ActiveRun* newest = ends_.exchange(asleep_ ? kAsleep : nullptr);
  const auto before = static_cast<std::ptrdiff_t>(queue_.size());
  for (ActiveRun* run = newest == kAsleep ? nullptr : newest; run != nullptr;
       run = run->ended_before) {
    queue_.push_back(run);
  }
  std::reverse(queue_.begin() + before, queue_.end());
}

void Completer::settle() noexcept {
  if (!at_once_) return;
  std::unique_lock lock(mutex_);
  if (committing_) {
    settle_again_ = true;
  } else if (failed_ || stopping_) {
    if (asleep_) wake_.notify_one();
  } else {
    commit_queue(lock);
  }
}

void Completer::commit_queue(std::unique_lock<std::mutex>& lock) {
  committing_ = true;
  failed_ = false;
  do {
    settle_again_ = false;
    gather();
    if (queue_.size() <= kMaxBatch) {
      batch_.swap(queue_);
    } else {
      const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(kMaxBatch);
      batch_.assign(queue_.begin(), end);
      queue_.erase(queue_.begin(), end);
      settle_again_ = true;
    }
    const bool retries =
        !apart_.empty() && std::chrono::steady_clock::now() >= apart_due_;
    if (retries) retried_.swap(apart_);
    const std::size_t tried = retried_.size();
    lock.unlock();
    if (!batch_.empty()) commit(batch_, failed_alone_);
    if (batch_.empty() && retries) commit_apart(retried_);
    lock.lock();
    keep_apart(retries, retried_.size() < tried);
    if (!batch_.empty()) {  // the store was away: the thread tries again
      failed_ = true;
      queue_.insert(queue_.begin(), batch_.begin(), batch_.end());
      batch_.clear();
      if (asleep_) wake_.notify_one();
    }
  } while (settle_again_ && !failed_);
  committing_ = false;
  if (stopping_ || pending_.load() == 0) flushed_.notify_all();
}

// `retried`: those that were there, of which `some` are done.
void Completer::keep_apart(bool retried, bool some) {
  if (apart_.empty() && retried_.empty() && failed_alone_.empty()) return;
  const bool first = apart_.empty() && !retried;
  if (first || some) {
    apart_backoff_ = kFirstBackoff;
  } else if (retried) {
    apart_backoff_ = std::min<Duration>(apart_backoff_ * 2, kLastBackoff);
  }
  if (first || retried) apart_due_ = std::chrono::steady_clock::now() + apart_backoff_;
  for (Batch* more : {&retried_, &failed_alone_}) {
    apart_.insert(apart_.end(), more->begin(), more->end());
    more->clear();
  }
  if (asleep_) wake_.notify_one();
}

void Completer::work() {
  // For how long an end may be put off in the hope of more.
  constexpr Duration kTick = std::chrono::milliseconds(1);
  Duration backoff = kFirstBackoff;
  bool fresh = true;  // no end has cut the wait for a retry short since one was stored
  std::unique_lock lock(mutex_);
  while (true) {
    if (queue_.empty()) {
      ActiveRun* none = nullptr;
      asleep_ = ends_.compare_exchange_strong(none, kAsleep);
      // Woken by an end, unless its pusher commits it; that leaves kAsleep again.
      while (!stopping_ && queue_.empty() && asleep_) {
        if (apart_.empty()) {
          wake_.wait(lock);
        } else if (wake_.wait_until(lock, apart_due_) == std::cv_status::timeout) {
          break;
        }
      }
      asleep_ = false;
      none = kAsleep;
      ends_.compare_exchange_strong(none, nullptr);
    }
    if (failed_) {
      if (wait_to_retry(lock, backoff, fresh)) fresh = false;
      backoff = std::min<Duration>(backoff * 2, kLastBackoff);
    } else if (at_once_) {
      wake_.wait_for(lock, kTick, [&] { return stopping_.load(); });
    }
    if (stopping_) return;
    if (committing_) {
      settle_again_ = true;
      continue;
    }
    const auto before = pending_.load();
    commit_queue(lock);
    if (!failed_ || pending_.load() < before) {
      backoff = kFirstBackoff;
      fresh = true;
    }
  }
}

bool Completer::wait_to_retry(std::unique_lock<std::mutex>& lock, Duration pause,
                              bool fresh) {
  ActiveRun* none = nullptr;
  asleep_ = fresh && ends_.compare_exchange_strong(none, kAsleep);
  if (fresh && !asleep_) return true;
  const bool woken = wake_.wait_for(lock, pause, [&] {
    return stopping_.load() || (fresh && ends_.load() != kAsleep);
  });
  asleep_ = false;
  none = kAsleep;
  ends_.compare_exchange_strong(none, nullptr);
  return woken;
}

bool Completer::flush(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  return flushed_.wait_until(lock, until, [&] { return pending_.load() == 0; });
}

void Completer::settle_all(std::chrono::steady_clock::time_point until) {
  const std::size_t most = keeps_up() ? 0 : bounds_.waiting - 1;
  if (flush(until)) hooks_.wait(most, until);
}

std::size_t Completer::stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return 0;
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::unique_lock lock(mutex_);
  flushed_.wait(lock, [&] { return !committing_; });
  gather();
  queue_.insert(queue_.end(), apart_.begin(), apart_.end());
  for (const ActiveRun* run : queue_) {
    log_(LogLevel::kError, "job " + std::to_string(value(run->job.lease.id)) +
                               ": its end was not stored; it will run again");
  }
  const std::size_t lost = queue_.size();
  lock.unlock();
  hooks_.stop();
  return lost;
}

}  // namespace carrel
