// What a forked child says to its host on its socket, and the stop request that it hears
// there while a job runs.
//
// Threads: the handler's, and one of its own once somebody has asked for a stop token, or
// progress was held back.
#pragma once

#include <carrel/context.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "frame.h"
#include "os.h"

namespace carrel {
struct Outcome;
}

namespace carrel::process {

// Lets a burst through, then ten a second: a loop that reports every step costs next to
// nothing, and one that reports now and then is never held back.
class Throttle {
 public:
  bool pass();
  // Who was held back may pass after this long, unless somebody else did.
  static constexpr std::chrono::milliseconds kPause{100};

 private:
  static constexpr double kPerSecond = 10;
  static constexpr double kBurst = 16;
  double tokens_ = kBurst;
  std::optional<std::chrono::steady_clock::time_point> last_;
};

// Of one job. Where nobody listens any more, the process ends.
class ChildPipe final : public ContextSink {
 public:
  // `run`: of the job, as its stop request names it. `bound`: of a checkpoint.
  // `stopped`: it was asked to stop before it began.
  ChildPipe(int socket, std::uint64_t run, std::uint64_t bound, bool stopped)
      : socket_(socket), run_(run), bound_(bound), stopped_(stopped) {}
  ~ChildPipe() override;

  void progress(float fraction, std::string_view message) override;
  void checkpoint(std::string_view bytes) override;
  void log(std::string_view line) override;
  bool stopping() override;
  std::stop_token stop() override;

  // `done`: what it used, if its end need not be waited for. Before the end is told, no
  // thread reads the socket any more: what comes next may be another job of this child.
  void finish(const Outcome& outcome, const std::optional<DoneNote>& done);

 private:
  bool hear(int flags);  // false: nothing came, or nothing will
  // With mutex_ held. Throws system_error: there is no descriptor or thread to be had.
  void start_companion();
  void accompany();
  void stop_companion();
  // For how many milliseconds it need not be called; -1: until the thread is woken.
  int tell_held();
  void wake_companion() const noexcept;
  void send(FrameType type, std::string_view body, std::string_view then = {});
  void send_next(FrameType type, std::string_view body, std::string_view then = {});

  const int socket_;
  const std::uint64_t run_;
  const std::uint64_t bound_;
  // Of what is sent, and held back; comes before mutex_. Whoever has it may wait for the
  // host to read, so a question for a stop request does not need it.
  std::mutex sending_;
  Throttle throttle_;
  bool held_ = false;
  float held_fraction_ = 0;
  std::string held_message_;
  std::mutex mutex_;  // of the rest
  std::atomic<bool> stopped_;
  std::atomic<bool> leaving_{false};
  std::stop_source source_{std::nostopstate};
  UniqueFd wake_;
  std::thread companion_;
};

}  // namespace carrel::process
