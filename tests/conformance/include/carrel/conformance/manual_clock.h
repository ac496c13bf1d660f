// A clock that stands still until a test moves it.
#pragma once

#include <carrel/clock.h>

#include <atomic>

namespace carrel::conformance {

// Threads: safe. Starts at 2024-01-01 00:00 UTC, so that a store that mixes it up with
// the machine's clock is caught.
class ManualClock final : public Clock {
 public:
  Time now() const noexcept override { return Time(Duration(now_us_.load())); }
  void advance(Duration by) noexcept { now_us_.fetch_add(by.count()); }

 private:
  std::atomic<Duration::rep> now_us_{1'704'067'200'000'000};
};

}  // namespace carrel::conformance
