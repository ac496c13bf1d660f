// A clock of a server's own, which a test can step: libfaketime, preloaded into the
// server and nobody else.
#pragma once

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

  // `folder`: the server's, in which it reads how far it is off. Steps by `to` from now
  // on: 0 is the system's clock. Time that passes is not touched, nor are clocks that
  // only tell such.
  explicit SteppedClock(std::filesystem::path folder);
  void set(std::chrono::seconds to);

  // The command that runs `command` by this clock; it keeps its process id.
  std::vector<std::string> around(std::vector<std::string> command) const;

 private:
  std::filesystem::path file_;
};

}  // namespace carrel::test
