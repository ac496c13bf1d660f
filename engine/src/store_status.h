// Whether the store answers, as the worker's loops see it: logged when it goes, again and
// again while it stays away, and when it comes back; and shown in the health snapshot.
#pragma once

#include <carrel/config.h>
#include <carrel/store.h>

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "lease_time.h"

namespace carrel {

enum class StoreCall : std::uint8_t { kClaim, kSweep, kBeat, kFinish };

class StoreStatus {
 public:
  // `remind`: how long after a line about a store that is away the next one is due; it is
  // written by whoever fails then. `now`: a clock that never steps back.
  StoreStatus(LogFn log, Duration remind, std::function<Duration()> now = boot_time)
      : log_(std::move(log)), remind_(remind), now_(std::move(now)) {}

  void failed(StoreCall call, const Error& error) {
    std::lock_guard lock(mutex_);
    const char* const name = kNames[static_cast<std::size_t>(call)];
    const Duration now = now_();
    if (!away_.exchange(true)) {
      log_(LogLevel::kError,
           std::string(name) + ": the store does not answer: " + error.message);
      away_since_ = reminded_ = now;
    } else if (now - reminded_ >= remind_) {
      log_(LogLevel::kError,
           std::string(name) + ": the store has failed for " +
               to_text(std::chrono::floor<std::chrono::seconds>(now - away_since_)) +
               ": " + error.message);
      reminded_ = now;
    }
    errors_[static_cast<std::size_t>(call)] = std::string(name) + ": " + error.message;
  }
  // One end could not be stored: the store may be away, or another holds what it needs,
  // which it cannot tell. The next write can: a worker has beats to send as long as it
  // has such ends.
  void doubt(const Error& error) {
    doubted_ = true;
    if (away_.load()) failed(StoreCall::kFinish, error);
  }
  bool doubted() const noexcept { return doubted_.load(); }
  // `wrote`: something was stored. A store whose disk is full still answers those who
  // only look, such as a claim that finds nothing: they take back their own complaint and
  // no other.
  void answered(StoreCall call, bool wrote) {
    if (wrote && doubted_.load()) doubted_ = false;
    if (!away_.load()) return;
    std::lock_guard lock(mutex_);
    if (wrote) errors_ = {};
    errors_[static_cast<std::size_t>(call)].reset();
    if (first()) return;
    if (away_.exchange(false)) log_(LogLevel::kInfo, "the store answers again");
  }
  std::optional<std::string> error() const {
    std::lock_guard lock(mutex_);
    return first();
  }

 private:
  static constexpr std::array<const char*, 4> kNames{"claim", "sweep", "beat", "finish"};

  std::optional<std::string> first() const {
    for (const auto& error : errors_) {
      if (error) return error;
    }
    return std::nullopt;
  }

  LogFn log_;
  const Duration remind_;
  const std::function<Duration()> now_;
  mutable std::mutex mutex_;
  Duration away_since_{0};
  Duration reminded_{0};
  std::array<std::optional<std::string>, 4> errors_;
  std::atomic<bool> away_{false};
  std::atomic<bool> doubted_{false};
};

}  // namespace carrel
