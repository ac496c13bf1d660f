// What a sandbox's probe finds out about itself, just where a program would begin.
#pragma once

#include "blueprint.h"
#include "wire.h"

namespace carrel::sandbox {

// Tries what must not work, and what must. kNone: all is as it should be; else the part
// that the kernel accepted and does not enforce. Only system calls.
process::Reply::Stage check_self(const Plan& plan, bool filtered,
                                 bool landlocked) noexcept;

}  // namespace carrel::sandbox
