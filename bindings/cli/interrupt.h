// SIGINT, SIGTERM and SIGHUP as a stop token, for commands that end gracefully but early.
#pragma once

#include <signal_wake.h>

#include <atomic>
#include <functional>
#include <stop_token>
#include <thread>

namespace carrel::cli {

// Takes over the signals while it lives, but for one that whoever started this program
// ignores. `heard` is called once one came, on a thread of its own. Starts a thread: make
// it after what must be forked without any. Throws std::system_error if no descriptor is
// free.
class Interrupt {
 public:
  explicit Interrupt(std::function<void()> heard = {});
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const noexcept { return source_.get_token(); }
  bool came() const noexcept;
  // Readable for good once one came; to poll, not to read.
  int descriptor() const noexcept { return signals_.descriptor(); }
  void wait() const { signals_.wait(); }  // until one came

 private:
  std::stop_source source_;
  const SignalWake signals_;  // awake once one came, or this ends
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

// To be called once one was heard: the next ends this program, as if nobody listened.
void let_the_next_end_it();

}  // namespace carrel::cli
