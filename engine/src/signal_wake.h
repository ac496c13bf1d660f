// For run(): signals, SIGINT and SIGTERM mostly, wake a descriptor instead of ending the
// process.
#pragma once

#include <carrel/result.h>

#include <csignal>
#include <cstdint>
#include <initializer_list>
#include <utility>

namespace carrel {

// An eventfd to wait for. While it lives, each of its signals that is at its default, or
// that another of these has taken, adds one to it, and is given back by the last that has
// it. Where the host has a handler of its own it is left alone.
class SignalWake {
 public:
  static Result<SignalWake> make(std::initializer_list<int> signals = {SIGINT, SIGTERM});
  SignalWake(SignalWake&& other) noexcept : wake_(std::exchange(other.wake_, nullptr)) {}
  SignalWake& operator=(SignalWake&&) = delete;
  ~SignalWake();

  // Ends a wait(), or else the next. From any thread.
  void wake() const noexcept;
  void wait() const noexcept;
  int descriptor() const noexcept;  // readable for good once it was woken; to poll

 private:
  struct Wake;
  explicit SignalWake(Wake* wake) noexcept : wake_(wake) {}
  static void on_signal(int signal);
  static void take(int signal) noexcept;
  static void give_back(int signal) noexcept;
  static bool anybody_has(std::uint64_t signal) noexcept;
  Wake* wake_;
};

}  // namespace carrel
