// A child process that a test starts, kills, stops and waits for.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace carrel::fault {

// In the environment of every Child, with a value of its own, and so in that of whatever
// comes of it, unless that is given another environment.
inline constexpr const char* kMark = "FAULT_CHILD";

// Threads: one at a time. Killed and reaped when it goes out of scope.
class Child {
 public:
  // Its stdin is a pipe that tell() writes to; its stdout a pipe that wait_line() reads.
  // Throws std::runtime_error where it cannot be started.
  explicit Child(const std::vector<std::string>& command);
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const noexcept { return pid_; }
  void tell(const std::string& line);
  // One line of its stdout; empty: it ended before.
  std::string wait_line();
  // Blocks, at most so long, until there is some of it to read, or it has ended.
  bool has_output(std::chrono::milliseconds patience) const;
  void end_input();
  void signal(int number) const;

  // Blocks, at most so long. How it ended, as waitpid says it; nullopt: it has not.
  std::optional<int> wait_end(std::chrono::milliseconds patience);
  // The same until it is stopped or ended: true if stopped.
  bool wait_stopped(std::chrono::milliseconds patience);
  // Blocks, at most so long, until no process is left that has its mark. Those that are:
  // "4711 (name)".
  std::vector<std::string> wait_all_gone(std::chrono::milliseconds patience) const;
  bool ended() { return wait_end(std::chrono::milliseconds(0)).has_value(); }

 private:
  bool poll(std::chrono::milliseconds patience, int what);
  void close_pipes() noexcept;

  std::string mark_;  // NAME=value
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int to_ = -1;
  int from_ = -1;
  std::optional<int> status_;
  bool stopped_ = false;
};

}  // namespace carrel::fault
