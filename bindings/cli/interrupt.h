// SIGINT and SIGTERM as a stop token, for commands that end gracefully but early.
#pragma once

#include <signal_wake.h>

#include <stop_token>
#include <thread>

namespace carrel::cli {

// Takes over both signals while it lives. Starts a thread: make it after what must be
// forked without any. Throws std::system_error if no descriptor is free.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const noexcept { return source_.get_token(); }
  bool came() const noexcept { return source_.stop_requested(); }

 private:
  std::stop_source source_;
  const SignalWake signals_;  // awake once one came, or this ends
  std::thread thread_;
};

}  // namespace carrel::cli
