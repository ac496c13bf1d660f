// What this machine can do for sandboxes, asked of the kernel itself: where it can, a
// case that needs it must not be skipped.
#pragma once

#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace carrel::test {

// 0 or less: there is none.
inline int landlock_version() {
  return static_cast<int>(
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

// What the tier `restricted` needs.
inline bool has_landlock() { return landlock_version() > 0; }

// What the tier `standard` needs beyond that.
inline bool has_namespaces() {
  const pid_t child = fork();
  if (child == 0) {
    constexpr int kAll = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
                         CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (unshare(kAll) != 0) _exit(1);
    // Of the processes of its namespace, which has none before this.
    const pid_t first = fork();
    constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (first == 0) {
      _exit(mount("tmpfs", "/tmp", "tmpfs", kFlags, nullptr) == 0 &&
                    mount("proc", "/proc", "proc", kFlags, nullptr) == 0
                ? 0
                : 1);
    }
    int status = 1;
    _exit(waitpid(first, &status, 0) == first && status == 0 ? 0 : 1);
  }
  int status = 1;
  return waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace carrel::test
