#include "server/poller.h"

#include <algorithm>
#include <exception>
#include <string>

#include "threads.h"

namespace carrel::sql::server {

void look_around(Waiters& waiters, const LookForLanes& look) {
  if (!waiters.any()) return;
  auto lanes = look();
  // Whoever waits hears of an error by its own calls: the next of them is not in vain.
  if (!lanes) waiters.work({});
  if (lanes && !lanes->empty()) waiters.work(*lanes);
  if (lanes) waiters.polled();
  waiters.look_again();
}

Poller::Poller(const BackendOptions& options, Waiters& waiters, LookForLanes look)
    : poll_(std::max<Duration>(options.poll, std::chrono::milliseconds(1))),
      waiters_(waiters),
      look_(std::move(look)),
      log_(options.log) {}

Poller::~Poller() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Poller::listen() noexcept {
  if (started_) return;
  const std::lock_guard lock(mutex_);
  if (started_ || stopping_) return;
  try {
    thread_ = named_thread("carrel-poll", [this] { loop(); });
    started_ = true;
  } catch (const std::exception& e) {
    log_(LogLevel::kWarn,
         std::string("no thread to poll, jobs of other processes are found late: ") +
             e.what());
  }
}

void Poller::loop() noexcept {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, poll_, [this] { return stopping_; })) {
    lock.unlock();
    look_around(waiters_, look_);
    lock.lock();
  }
}

}  // namespace carrel::sql::server
