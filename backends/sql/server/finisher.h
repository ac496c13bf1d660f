// Finishes of which a host's transaction may hold what one needs, be it the job's row or
// the slot of its key, for as long as it likes: the others are stored all the same.
//
// A lock is waited for once. Then the runs are halved, and halved again, and what is held
// by itself is kUnavailable; until it is stored nobody waits for long any more, and it is
// asked for alone.
#pragma once

#include <carrel/store.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "server/driver.h"

namespace carrel::sql::server {

// Threads: safe.
class Finisher {
 public:
  struct Try {
    Result<std::vector<Finished>> finished;
    bool held = false;  // it failed, because another transaction holds what it needs
  };
  // Finishes these in one transaction. Who is not `patient` waits for a moment only.
  using Attempt = std::function<Try(std::span<const Finish* const> runs, bool patient)>;

  explicit Finisher(Attempt attempt) : attempt_(std::move(attempt)) {}

  std::vector<Result<Finished>> finish(std::span<const Finish* const> runs);
  // Leases are renewed on the same connection, which waits behind a finish: where they
  // are short no lock is waited for.
  void mind(Duration lease) noexcept { hurried_ = lease < 8 * kLockWait; }

 private:
  using Clock = std::chrono::steady_clock;
  using Places = std::span<const std::size_t>;
  using Answers = std::vector<Result<Finished>>;
  struct Asked {
    std::span<const Finish* const> runs;
    Answers answers;
    Clock::time_point until;  // then nothing is asked twice
    bool waited = false;      // in vain
  };

  // Which of these are known to be held; the others go first.
  bool split(std::span<const Finish* const> runs, std::vector<std::size_t>& others,
             std::vector<std::size_t>& held);
  void together(Asked& asked, Places places, bool patient);
  // `waited`: it was for, in vain.
  void alone(Asked& asked, std::size_t place, bool waited);
  Try attempt(const Asked& asked, Places places, bool patient);
  static void answer(Asked& asked, Places places, Try&& done);

  const Attempt attempt_;
  std::atomic<bool> hurried_{false};
  std::mutex mutex_;
  // Those that were waited for in vain: when they were last asked for.
  std::unordered_map<JobId, Clock::time_point> held_;
};

}  // namespace carrel::sql::server
