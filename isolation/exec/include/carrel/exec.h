// Isolation "exec": every job is a run of a program, started by the process server.
//
// The program reads the job's payload on stdin; what it writes to stdout is the result.
// The rest of the protocol, and what is promised, is in isolation/README.md.
#pragma once

#include <carrel/registry.h>

namespace carrel {

// Adds the isolation "exec".
void register_exec(Registry& registry);

}  // namespace carrel
