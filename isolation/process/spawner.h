// Starts a program as the leader of a session of its own, at a cost that does not depend
// on the size of the caller.
//
// For a process with one thread that has all signals blocked and their dispositions at
// the default: the process server.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/types.h>

#include <span>

#include "wire.h"

namespace carrel::process {

// For clone(): the child runs on the caller's memory, which waits until it has executed a
// program or ended. Sanitizers keep state of each process in its memory, so under them a
// child must not share it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int kLaunchFlags = CLONE_VFORK | SIGCHLD;
#else
inline constexpr int kLaunchFlags = CLONE_VM | CLONE_VFORK | SIGCHLD;
#endif

struct Spawned {
  pid_t pid = -1;  // > 0: it runs; otherwise `error` and `stage`
  int error = 0;
  // kNone: there was no process to be had.
  Reply::Stage stage = Reply::Stage::kNone;
};

// The program finds `fds` as its descriptors 0, 1, 2, 3 and nothing else; each must be
// above 3 here. It is killed when the caller dies.
Spawned spawn(const SpawnJob& job, std::span<const int, 4> fds);

// The first steps of every child, in it: dies with the server `parent`, leads a session.
// Only system calls.
void become_leader(pid_t parent) noexcept;

}  // namespace carrel::process
