/* Attacks its parent, which watches over it; says on stderr what that got. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void say(const char* what, long done) {
  fprintf(stderr, "%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

static int open_of(pid_t pid, const char* file, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  return open(path, flags);
}

int main(void) {
  const pid_t parent = getppid();
  char byte;
  struct iovec mine = {&byte, 1};
  // Stacks end at one place, or about it: what may be read is there for both, most likely.
  struct iovec theirs = {&byte, 1};
  say("attach", ptrace(PTRACE_ATTACH, parent, NULL, NULL));
  say("seize", ptrace(PTRACE_SEIZE, parent, NULL, NULL));
  say("readv", process_vm_readv(parent, &mine, 1, &theirs, 1, 0));
  const long pidfd = syscall(SYS_pidfd_open, parent, 0);
  say("getfd", pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, 3, 0));
  say("mem", open_of(parent, "mem", O_RDWR));
  say("fd", open_of(parent, "fd/3", O_RDWR));
  say("root", open_of(parent, "root", O_PATH));
  say("environ", open_of(parent, "environ", O_RDONLY));
  kill(parent, SIGKILL);
  kill(parent, SIGSTOP);
  kill(parent, SIGTERM);
  fprintf(stderr, "alive %d\n", getppid() == parent);
  return 77;
}
