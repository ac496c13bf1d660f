// Isolation "fork": every job in a child of its own, forked from the process server.
//
// Crash isolation, not security: a handler that dies takes nothing with it but its
// attempt. What it promises is in isolation/README.md.
#pragma once

#include <carrel/registry.h>

namespace carrel {

// Adds the isolation "fork".
void register_fork(Registry& registry);

}  // namespace carrel
