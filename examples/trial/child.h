// Runs a program as a child and accounts for everything that it started.
#pragma once

#include <carrel/result.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace trial {

struct ChildReport {
  bool timed_out = false;
  int status = 0;  // of waitpid
  // Of the processes that it left behind and that this process inherited and waited for,
  // with all that those had waited for.
  double orphans_cpu_s = 0;
  std::uint64_t orphans_peak_bytes = 0;
};

// Makes this process the reaper of what its descendants leave behind, and blocks SIGCHLD,
// SIGINT and SIGTERM, which run_child waits for. Once, before any thread is started.
void become_reaper();

// Starts `argv` in a session of its own, stdout and stderr into `log`, and waits until it
// and all that it left behind have ended. At `timeout` all of them are killed. Everything
// that this process waits for is taken to belong to this child: one call at a time.
// kCancelled: SIGINT or SIGTERM came; the child is gone.
carrel::Result<ChildReport> run_child(const std::vector<std::string>& argv,
                                      const std::filesystem::path& log,
                                      std::chrono::milliseconds timeout);

// In a process that was started: it is killed when the thread that started it ends, also
// where nothing there could tell it to. Who ended before this call is not noticed.
void die_with_parent();

// First thing in the process of a trial: die_with_parent(), and what it makes of
// temporary files is in the trial's folder, and goes with that.
void begin(const std::filesystem::path& folder);

}  // namespace trial
