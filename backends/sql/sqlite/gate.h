// The gate: one process at a time writes to a SQLite file.
//
// SQLite's own lock is taken by polling: of four processes that write all the time, one
// did everything and three starved. A lock by flock(2) on a file beside the database
// wakes those that wait for it, and it keeps a checkpoint of one process from meeting a
// write of another, which SQLite up to 3.51.2 can get wrong. Whoever writes or
// checkpoints holds it. Who asks for it has a lock on the file's first byte until it
// comes: so who gives it up and asks again stands behind who waits.
#pragma once

#include <carrel/result.h>

#include <memory>
#include <string>

namespace carrel::sql::sqlite {

// Used by one thread at a time, its owner. The lock ends with the process that holds it,
// whatever children of a fork live on (unshared_file.h); these cannot lift it.
class Gate {
 public:
  // Makes the file if it is not there. Errors name it.
  static Result<Gate> open(std::string path);
  ~Gate();
  Gate(Gate&&) noexcept;
  Gate& operator=(Gate&&) = delete;

  // Waits for this process's turn, at most `patience`; kUnavailable: it did not come.
  Result<void> lock(Duration patience);
  void unlock() noexcept;

 private:
  struct Line;
  explicit Gate(std::shared_ptr<Line> line);
  static void wait_in(const std::shared_ptr<Line>& line) noexcept;

  std::shared_ptr<Line> line_;
};

// Ends a held lock with its scope.
class GateHold {
 public:
  explicit GateHold(Gate& gate) : gate_(&gate) {}
  ~GateHold() { gate_->unlock(); }
  GateHold(const GateHold&) = delete;
  GateHold& operator=(const GateHold&) = delete;

 private:
  Gate* gate_;
};

}  // namespace carrel::sql::sqlite
