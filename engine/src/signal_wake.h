// For run(): SIGINT and SIGTERM wake a descriptor instead of ending the process.
#pragma once

#include <csignal>

namespace carrel {

// Takes over each of the two signals that is at its default, and gives it back when
// destroyed; where the host, or another run(), has one already, it is left alone. Each
// such signal adds one to the eventfd `fd`.
class SignalWake {
 public:
  explicit SignalWake(int fd) noexcept;
  ~SignalWake();
  SignalWake(const SignalWake&) = delete;
  SignalWake& operator=(const SignalWake&) = delete;

 private:
  bool mine_ = false;
  bool took_int_ = false;
  bool took_term_ = false;
};

}  // namespace carrel
