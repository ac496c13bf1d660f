/* Connects to each unix socket that it is given; "@name" is an abstract one. argv[1] says
   from what: "socket", or one end of a "pair" of streams, "datagrams" or "raw" ones. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int make(const char* how) {
  if (strcmp(how, "socket") == 0) return socket(AF_UNIX, SOCK_STREAM, 0);
  const int type = strcmp(how, "datagrams") == 0 ? SOCK_DGRAM
                   : strcmp(how, "raw") == 0     ? SOCK_RAW
                                                 : SOCK_STREAM;
  int ends[2];
  return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0 ? ends[0] : -1;
}

int main(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, argv[i], sizeof to.sun_path - 1);
    if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
    const int fd = make(argv[1]);
    const socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(argv[i]);
    const int done = fd < 0 ? -1 : connect(fd, (struct sockaddr*)&to, size);
    printf("%s%s", done == 0 ? "reached" : strerrorname_np(errno), i + 1 < argc ? " " : "\n");
  }
  return 0;
}
