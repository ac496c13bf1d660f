// A grader in this process, for trials: hands in submissions, and waits for the grades.
#pragma once

#include <carrel/engine.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "trial.h"

namespace grader {

class Course {
 public:
  // kUnsupported: this machine has no such sandbox.
  static carrel::Result<std::unique_ptr<Course>> open(
      const TrialWork& work, const std::filesystem::path& folder);
  ~Course();

  // The answers align. `queue`: kPull or kPush.
  carrel::Result<std::vector<carrel::JobId>> hand_in(
      const std::vector<Submission>& submissions, const char* queue);
  // Blocks until so many grades have ended since the start. False: they do not.
  bool wait_for(std::size_t ended);
  std::size_t ended() const;
  carrel::Result<carrel::JobRecord> record(carrel::JobId id) { return engine_->job(id); }

 private:
  explicit Course(const TrialWork& work) : work_(work) {}

  const TrialWork work_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t ended_ = 0;
  std::unique_ptr<carrel::Engine> engine_;  // its hook tells the above
};

}  // namespace grader
