/* Reads what is secret, writes and changes what is the host's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char* what, int done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(void) {
  say("shadow", open("/etc/shadow", O_RDONLY));
  say("create", open("/usr/bin/carrel-was-here", O_CREAT | O_WRONLY, 0755));
  say("overwrite", open("/usr/bin/env", O_WRONLY));
  say("chmod", chmod("/usr/bin/env", 0777));
  say("unlink", unlink("/usr/bin/env"));
  say("passwd", open("/etc/passwd", O_WRONLY));
  say("root", open("/root", O_RDONLY | O_DIRECTORY));
  say("disk", open("/dev/vda", O_RDONLY));
  say("node", mknod("/tmp/disk", S_IFBLK | 0600, 0x800));
  say("link", link("/etc/shadow", "/tmp/shadow"));
  return 0;
}
