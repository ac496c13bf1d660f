// The filter of system calls, compiled by libseccomp.
#pragma once

#include <carrel/sandbox.h>

#include <string>

namespace carrel::sandbox {

// What else bounds the program: where it does not, the filter must.
struct Surroundings {
  // Without namespaces the host's processes and its shared memory are there to be
  // reached.
  bool namespaces = true;
  // Something keeps it from the host's unix sockets.
  bool unix_scope = true;
  // Something refuses to cut off files that may only be read.
  bool truncation = true;
};

// A program for SECCOMP_SET_MODE_FILTER: struct sock_filter, one after the other. Empty
// for SandboxSyscalls::kOff. `network`: what sockets may be made.
Result<std::string> compile_filter(SandboxSyscalls syscalls, SandboxNetwork network,
                                   const Surroundings& around);

}  // namespace carrel::sandbox
