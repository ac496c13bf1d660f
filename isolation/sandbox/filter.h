// The filter of system calls, compiled by libseccomp.
#pragma once

#include <carrel/sandbox.h>

#include <string>

namespace carrel::sandbox {

// A program for SECCOMP_SET_MODE_FILTER: struct sock_filter, one after the other. Empty
// for SandboxSyscalls::kOff. `network`: what sockets may be made.
Result<std::string> compile_filter(SandboxSyscalls syscalls, SandboxNetwork network);

}  // namespace carrel::sandbox
