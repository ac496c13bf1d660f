// What this machine can do for sandboxes, asked of the kernel itself: where it can, a case
// that needs it must not be skipped.
#pragma once

#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace carrel::test {

// What the tier `restricted` needs.
inline bool has_landlock() {
  return syscall(SYS_landlock_create_ruleset, nullptr, 0,
                 LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

// What the tier `standard` needs beyond that.
inline bool has_namespaces() {
  const pid_t child = fork();
  if (child == 0) {
    constexpr int kAll = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
                         CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    const bool can = unshare(kAll) == 0 &&
                     mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID, nullptr) == 0;
    _exit(can ? 0 : 1);
  }
  int status = 1;
  return waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace carrel::test
