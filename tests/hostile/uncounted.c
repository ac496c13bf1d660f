/* What takes the machine's memory, or what its user may have, and no limit counts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char* what, long done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(void) {
  say("shmget", shmget(IPC_PRIVATE, 64 << 20, 0600));
  say("semget", semget(IPC_PRIVATE, 32000, 0600));
  say("msgget", msgget(IPC_PRIVATE, 0600));
  say("inotify_init", syscall(SYS_inotify_init));
  say("inotify_init1", inotify_init1(0));
  unsigned long context = 0;
  say("io_setup", syscall(SYS_io_setup, 65536, &context));
  return 0;
}
