// How a host makes its process server: by fork, or by executing its own program again.
//
// Either way the new process is no child of the host by the time it runs: the host's
// SIGCHLD, its waits, and its list of children see nothing of it.
#pragma once

#include <carrel/process.h>

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "os.h"

namespace carrel::process {

struct Born {
  UniqueFd control;  // each descriptor sent on it becomes a channel
  std::vector<std::string> kinds;
};

// What a setup may load takes its time; this is for one that hangs, and for a program
// that was executed again and does not come to its main_hook().
inline constexpr std::chrono::milliseconds kGreetWithin = std::chrono::minutes(10);

// Both block until the server has run its setup, and answer with its error if it failed.
// One that has not within `within` is killed: kUnavailable.
// For a process with one thread.
Result<Born> fork_server(const ServerSetup& setup,
                         std::chrono::milliseconds within = kGreetWithin);
// The program's main calls main_hook(), which calls serve_if_asked() there. At any time,
// at a cost that does not depend on the size of this process. Likewise killed where
// `stop` is asked for.
Result<Born> execute_server(std::stop_token stop = {},
                            std::chrono::milliseconds within = kGreetWithin);

// In the execution that execute_server() made: becomes the keeper. Else returns.
void serve_if_asked(int argc, char** argv, const ServerSetup& setup);

}  // namespace carrel::process
