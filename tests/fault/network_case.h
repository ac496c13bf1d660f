// A worker whose way to its store breaks, or whose store is started again: how long a
// call takes then, and how soon work goes on.
#pragma once

#include <carrel/engine.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace carrel::fault {

// Threads: of the test, but what comes to an end is counted on the engine's.
class NetworkCase {
 public:
  using Clock = std::chrono::steady_clock;

  // Starts an engine on that store, with a lease of three seconds.
  NetworkCase(const std::string& url, Registry registry);

  // Jobs before, during and after: breaks it, waits so long, mends it, and then until a
  // job that came after that has completed. One more is asked for while it is broken.
  void during(const std::function<void()>& break_it, Clock::duration wait,
              const std::function<void()>& mend_it);
  // Every job that was acknowledged completes once, no call took longer than that, and
  // work went on within 5 s, as Carrel promises; both are printed.
  void expect_all(Clock::duration longest_call);

 private:
  JobId enqueue();
  bool wait_for(JobId id);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<JobId, int> completed_;
  Engine engine_;
  std::vector<JobId> ids_;
  Clock::duration longest_{};
  Clock::duration slowest_{};
  int number_ = 0;
};

}  // namespace carrel::fault
