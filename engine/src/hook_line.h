// The line of the host's on_finished and on_failed hooks: one thread, "carrel-hook",
// tells them of ended runs in the order in which their ends were stored. So a hook that
// takes its time holds up other hooks, but no end that is to be stored.
#pragma once

#include <carrel/engine.h>
#include <carrel/store.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "active_run.h"

namespace carrel {

class HookLine {
 public:
  struct Hooks {
    std::vector<Hook> finished;
    std::vector<Hook> failed;
  };
  // An end that was stored; `run` changes no more.
  struct End {
    std::shared_ptr<const ActiveRun> run;
    Verdict verdict;
    State state;
  };
  HookLine(Hooks hooks, LogFn log);
  ~HookLine();  // stop()
  bool any() const noexcept { return !hooks_.finished.empty() || !hooks_.failed.empty(); }

  // No thread where there are no hooks. `told`: called on it, after each end that it has
  // told.
  void start(std::function<void()> told);
  void add(std::vector<End> ends);
  // Ends that not all hooks have heard of.
  std::size_t untold() const noexcept { return untold_.load(); }
  // Until there are at most so many, at most until then.
  void wait(std::size_t most, std::chrono::steady_clock::time_point until);
  // Tells what is left, however long the hooks take. Idempotent.
  void stop();

 private:
  void work();

  const Hooks hooks_;
  const LogFn log_;
  std::function<void()> told_;
  std::atomic<std::size_t> untold_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable fewer_;
  std::vector<End> line_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace carrel
