// The CPU time of all processes of a sandbox together, without a control group.
//
// RLIMIT_CPU bounds each process by itself, by samples; a program that burns its time in
// one child after the other, or in many at once, is past no such limit. For the box's own
// process.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>

namespace carrel::sandbox {

class TreeClock {
 public:
  // How many processors there are, from here on in all children of the caller: a box has
  // no /sys that tells, and no time for another way.
  static void count_processors() noexcept;

  // `limit_s` 0: no limit.
  explicit TreeClock(std::uint64_t limit_s);
  // /proc shows the processes of the sandbox only. Else they are found below this
  // process, which must be where orphans come to.
  void own_proc() noexcept { own_proc_ = true; }
  // -1: never. Not before it could be used up on every processor at once, so that looking
  // costs next to nothing.
  int next_look_ms() const noexcept;
  // Looks, if it is time. `program`: the leader.
  bool used_up(pid_t program);
  // Whether a process that used so much was ended by RLIMIT_CPU.
  bool ended_by_limit(int signal, const rusage& used) const noexcept;

 private:
  std::uint64_t used(pid_t program) const;
  const std::uint64_t limit_us_;
  bool own_proc_ = false;
  std::uint64_t next_look_us_ = 0;  // of CLOCK_MONOTONIC
};

std::uint64_t cpu_microseconds(const rusage& used) noexcept;

}  // namespace carrel::sandbox
