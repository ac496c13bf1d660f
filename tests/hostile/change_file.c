/* Changes what belongs to the file argv[1] beside its content, by its name; and of a file
   of its own that is open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

static void say(const char* what, long done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(int argc, char** argv) {
  const char* path = argc > 1 ? argv[1] : "/";
  say("chmod", chmod(path, 0666));
  say("fchmodat", syscall(SYS_fchmodat, AT_FDCWD, path, 0666));
  say("fchmodat2", syscall(452, AT_FDCWD, path, 0666, 0));
  say("chown", chown(path, -1, -1));
  say("lchown", lchown(path, -1, -1));
  say("fchownat", fchownat(AT_FDCWD, path, -1, -1, 0));
  say("utime", utime(path, NULL));
  say("utimes", utimes(path, NULL));
  say("utimensat", utimensat(AT_FDCWD, path, NULL, 0));
  say("setxattr", setxattr(path, "user.carrel", "x", 1, 0));
  say("removexattr", removexattr(path, "user.carrel"));
  const int own = open("own", O_CREAT | O_WRONLY, 0600);
  say("own_mode", fchmod(own, 0700));
  say("own_times", futimens(own, NULL));
  return 0;
}
