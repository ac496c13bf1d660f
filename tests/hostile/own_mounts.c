/* Mounts something in namespaces of its own. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static void say(const char* what, int done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(void) {
  say("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS));
  say("mount", mount("/tmp", "/tmp", NULL, MS_BIND, NULL));
  return 0;
}
