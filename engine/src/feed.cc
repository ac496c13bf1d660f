#include "feed.h"

#include <algorithm>

#include "threads.h"

namespace carrel {

Feed::Feed(ClaimSource& source, Runner& runner, Setup setup, StoreStatus& status)
    : source_(source), runner_(runner), setup_(std::move(setup)), status_(status) {}

Feed::~Feed() { stop(); }

void Feed::start() {
  thread_ = named_thread("carrel-feed", [this] { work(); });
}

Result<std::size_t> Feed::pull(std::size_t max, Duration wait) {
  const std::uint64_t number = ++number_;
  auto jobs = source_.claim({setup_.queues, setup_.kinds, max}, setup_.worker, number,
                            setup_.lease, wait);
  if (!jobs) {
    lost_ = true;
    settled_ = number;
    return tl::unexpected<Error>(std::move(jobs.error()));
  }
  const std::size_t count = jobs->size();
  if (count > 0) runner_.launch(std::move(*jobs));
  settled_ = number;  // after the launch: whoever reads it sees the leases too
  return count;
}

void Feed::work() {
  constexpr Duration kFirst = std::chrono::milliseconds(50);
  constexpr Duration kLast = std::chrono::seconds(5);
  Duration backoff = kFirst;
  while (const std::size_t room = runner_.wait_for_room()) {
    const auto pulled = pull(room, setup_.wait);
    if (pulled) {
      status_.answered();
      backoff = kFirst;
      continue;
    }
    status_.failed("claim", pulled.error());
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, backoff, [&] { return stopping_; })) return;
    backoff = std::min(backoff * 2, kLast);
  }
}

void Feed::stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  wake_.notify_all();
  runner_.interrupt();
  source_.interrupt();
  if (thread_.joinable()) thread_.join();
}

}  // namespace carrel
