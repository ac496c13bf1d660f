/* What seems harmless, and a strict profile refuses. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char* what, long done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(void) {
  const unsigned int no_action_asked = 0x7fff0000; /* SECCOMP_RET_ALLOW */
  say("personality", personality(0xffffffff));
  say("memfd_create", memfd_create("x", 0));
  say("seccomp", syscall(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0,
                         &no_action_asked));
  say("mlockall", mlockall(MCL_FUTURE));
  return 0;
}
