/* A terminal, and more of the processor than others have. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void say(const char* what, int done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(void) {
  const struct sched_param high = {.sched_priority = 50};
  say("tty", open("/dev/tty", O_RDWR));
  say("fifo", sched_setscheduler(0, SCHED_FIFO, &high));
  say("nice", setpriority(PRIO_PROCESS, 0, -10));
  const struct rlimit more = {1 << 20, 1 << 20};
  say("limit", setrlimit(RLIMIT_NOFILE, &more));
  return 0;
}
