// For run(): SIGINT and SIGTERM wake a descriptor instead of ending the process.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <initializer_list>

namespace carrel {

// Takes over each of `signals`, four at most, that is at its default, and gives it back
// when destroyed; where the host, or another run(), has one already, it is left alone.
// Each such signal adds one to the eventfd `fd`.
class SignalWake {
 public:
  explicit SignalWake(int fd,
                      std::initializer_list<int> signals = {SIGINT, SIGTERM}) noexcept;
  ~SignalWake();
  SignalWake(const SignalWake&) = delete;
  SignalWake& operator=(const SignalWake&) = delete;

 private:
  bool mine_ = false;
  std::array<int, 4> taken_{};
  std::size_t count_ = 0;  // of these
};

}  // namespace carrel
