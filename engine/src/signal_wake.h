// For run(): SIGINT and SIGTERM wake a descriptor instead of ending the process.
#pragma once

#include <carrel/result.h>

#include <utility>

namespace carrel {

// An eventfd to wait for. While one or more of these live, each of the two signals that
// was at its default adds one to the eventfd of each, and is given back by the last.
// Where the host has a handler of its own it is left alone.
class SignalWake {
 public:
  static Result<SignalWake> make();
  SignalWake(SignalWake&& other) noexcept : wake_(std::exchange(other.wake_, nullptr)) {}
  SignalWake& operator=(SignalWake&&) = delete;
  ~SignalWake();

  // Ends a wait(), or else the next. From any thread.
  void wake() const noexcept;
  void wait() const noexcept;

 private:
  struct Wake;
  explicit SignalWake(Wake* wake) noexcept : wake_(wake) {}
  static void on_signal(int signal);
  static void take(int signal) noexcept;
  static void give_back(int signal) noexcept;
  Wake* wake_;
};

}  // namespace carrel
