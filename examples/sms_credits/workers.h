// The worker processes of a trial.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

namespace sms {

// Started at once; each is started again when SIGKILL has ended it. Ended with it.
class Workers {
 public:
  Workers(std::filesystem::path folder, std::size_t count);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void begin();            // tells all of them
  void wait_until_done();  // each has said so. Throws where one ended before
  std::size_t kills();     // so far

 private:
  struct Process {
    pid_t pid = -1;
    int to = -1;    // its stdin
    int from = -1;  // its stdout
  };
  Process spawn(std::size_t number) const;
  void watch(std::size_t number);

  const std::filesystem::path folder_;
  std::mutex mutex_;
  std::vector<Process> processes_;
  std::size_t kills_ = 0;
  bool ending_ = false;
  std::vector<std::thread> watchers_;
};

}  // namespace sms
