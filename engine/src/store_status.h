// Whether the store answers, as the worker's loops see it: logged once when it goes and
// once when it comes back, and shown in the health snapshot.
#pragma once

#include <carrel/store.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

namespace carrel {

class StoreStatus {
 public:
  explicit StoreStatus(LogFn log) : log_(std::move(log)) {}

  void failed(const char* loop, const Error& error) {
    std::lock_guard lock(mutex_);
    if (!error_) {
      log_(LogLevel::kError,
           std::string(loop) + ": the store does not answer: " + error.message);
    }
    error_ = std::string(loop) + ": " + error.message;
    away_ = true;
  }
  void answered() {
    if (!away_.load()) return;
    std::lock_guard lock(mutex_);
    if (!error_) return;
    error_.reset();
    away_ = false;
    log_(LogLevel::kInfo, "the store answers again");
  }
  std::optional<std::string> error() const {
    std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  LogFn log_;
  mutable std::mutex mutex_;
  std::optional<std::string> error_;
  std::atomic<bool> away_{false};
};

}  // namespace carrel
