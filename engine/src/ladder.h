// The ladder that ends a run which does not end by itself: stop request → TERM → KILL,
// each step after its grace, on one timer of the reactor for all runs.
//
// A run that cannot be killed is abandoned at the last rung if it is out of time; one
// that was only cancelled may go on until it hears, or until then.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "active_run.h"

namespace carrel {

class Reactor;
struct ReactorTimer;  // Asio's, kept out of this header

class Ladder {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Ladder(Reactor& reactor);
  ~Ladder();  // no run is on it
  Ladder(const Ladder&) = delete;
  Ladder& operator=(const Ladder&) = delete;

  // At `at`: stop request for kTimeout, then the further steps.
  void arm(const std::shared_ptr<ActiveRun>& run, Clock::time_point at);
  // The stop request was made now, for whatever reason: the further steps.
  void escalate(const std::shared_ptr<ActiveRun>& run);
  void disarm(ActiveRun& run);

 private:
  enum class Step : std::uint8_t { kStop, kTerminate, kKill };
  struct Rung {
    std::weak_ptr<ActiveRun> run;
    Step step;
  };
  using Key = std::pair<Clock::time_point, std::uint64_t>;  // the number makes it unique

  void put(const std::shared_ptr<ActiveRun>& run, Clock::time_point at, Step step);
  void climb(const std::shared_ptr<ActiveRun>& run, Step step);
  void give_up(const std::shared_ptr<ActiveRun>& run);
  void expired();   // on the reactor
  void schedule();  // on the reactor

  std::shared_ptr<ReactorTimer> timer_;
  std::mutex mutex_;
  std::map<Key, Rung> rungs_;
  std::uint64_t last_ = 0;
};

}  // namespace carrel
