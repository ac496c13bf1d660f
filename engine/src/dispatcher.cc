#include "dispatcher.h"

#include <algorithm>
#include <utility>

#include "threads.h"

namespace carrel {
namespace {
constexpr std::size_t kMaxSweep = 1000;
constexpr Duration kFirstRest = std::chrono::milliseconds(15);
constexpr Duration kLastRest = std::chrono::milliseconds(200);
}  // namespace

Dispatcher::Dispatcher(Store& store, Publish publish, Duration poll, StoreStatus& status,
                       LogFn log)
    : store_(store),
      publish_(std::move(publish)),
      poll_(poll),
      status_(status),
      log_(std::move(log)),
      rest_(kFirstRest) {}

Dispatcher::~Dispatcher() { stop(); }

void Dispatcher::start() {
  thread_ = named_thread("carrel-dispatch", [this] { work(); });
}

Result<std::size_t> Dispatcher::sweep_all() {
  std::size_t due = 0;
  while (true) {
    auto swept = store_.sweep(kMaxSweep);
    if (!swept) return tl::unexpected<Error>(std::move(swept.error()));
    if (swept->rescued > 0) {
      log_(LogLevel::kWarn,
           std::to_string(swept->rescued) +
               (swept->rescued == 1 ? " job whose lease had ended was taken back"
                                    : " jobs whose lease had ended were taken back"));
    }
    const std::size_t moved = swept->due.size() + swept->discarded + swept->purged;
    due += swept->due.size();
    next_ = swept->next;
    const bool news = news_.exchange(false);
    if (news || moved > 0 || next_ > Duration::zero()) rest_ = kFirstRest;
    if (moved == 0 && next_ <= Duration::zero()) next_ = rest();
    if (!swept->due.empty() && publish_) publish_(std::move(swept->due));
    if (moved < kMaxSweep) return due;
  }
}

// What is due and does not move is held by somebody: it is looked for again, but not at
// once, nor by all at the same time, and the seldomer the longer it is held.
Duration Dispatcher::rest() {
  const Duration longest = std::exchange(rest_, std::min(rest_ * 2, kLastRest));
  return Duration(std::uniform_int_distribution<Duration::rep>(longest.count() / 3,
                                                               longest.count())(random_));
}

Duration Dispatcher::pause() const { return std::clamp(next_, Duration{0}, poll_); }

void Dispatcher::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    due_ = Clock::time_point::max();
    lock.unlock();
    const auto swept = sweep_all();
    if (swept) {
      status_.answered(StoreCall::kSweep, *swept > 0);
    } else {
      status_.failed(StoreCall::kSweep, swept.error());
    }
    lock.lock();
    const auto until = Clock::now() + (swept ? pause() : poll_);
    while (!stopping_ && Clock::now() < std::min(until, due_)) {
      wake_.wait_until(lock, std::min(until, due_));
    }
  }
}

void Dispatcher::due_in(Duration delay) {
  if (delay > poll_) return;             // a sweep comes before
  if (delay <= kLastRest) news_ = true;  // of what is due later, its wake tells
  const auto at = Clock::now() + std::max(delay, Duration{0});
  {
    std::lock_guard lock(mutex_);
    if (at >= due_) return;
    due_ = at;
  }
  wake_.notify_one();
}

void Dispatcher::close() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

void Dispatcher::stop() {
  close();
  if (thread_.joinable()) thread_.join();
}

}  // namespace carrel
