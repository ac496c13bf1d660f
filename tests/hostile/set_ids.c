/* Files that run as their owner, or as its group, by every call that gives a mode. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char* what, long done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(void) {
  const int file = open("plain", O_CREAT | O_RDWR, 0700);
  say("open", file);
  say("chmod_plain", chmod("plain", 0755));
  say("chmod", chmod("plain", 04755));
  say("chmod_group", chmod("plain", 02755));
  say("fchmod", fchmod(file, 06755));
  say("fchmodat", fchmodat(AT_FDCWD, "plain", 04755, 0));
  say("fchmodat2", syscall(452, AT_FDCWD, "plain", 04755, 0));
  say("creat", creat("created", 04755));
  say("open_create", open("opened", O_CREAT | O_RDWR, 04755));
  say("openat_create", openat(AT_FDCWD, "opened_at", O_CREAT | O_RDWR, 02755));
  say("tmpfile", open(".", O_TMPFILE | O_RDWR, 04755));
  say("mknod", mknod("node", S_IFREG | 04755, 0));
  say("mkdir", syscall(SYS_mkdir, "folder", 02755));
  struct stat now;
  say("stat", stat("plain", &now));
  printf("mode %o\n", now.st_mode & 07777);
  return 0;
}
