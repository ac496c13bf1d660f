// A clock of other processes' own, which a test can step: libfaketime, preloaded into
// them and nobody else.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace carrel::test {

// Threads: one at a time.
class SteppedClock {
 public:
  // What must be installed and is not; empty: nothing.
  static std::string missing();

  // `folder`: where they read how far it is off. Steps by `to` from now on: 0 is the
  // system's clock. Time that passes is not touched, nor are clocks that only tell such.
  explicit SteppedClock(std::filesystem::path folder);
  void set(std::chrono::seconds to);

  // The command that runs `command` by this clock; it keeps its process id. Not a program
  // with a sanitizer's runtime, which must be loaded first.
  std::vector<std::string> around(std::vector<std::string> command) const;
  // Removes what such a process has left of itself where it was killed.
  static void clear_up(pid_t killed);

 private:
  std::filesystem::path file_;
};

}  // namespace carrel::test
