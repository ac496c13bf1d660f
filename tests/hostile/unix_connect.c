/* Connects to each unix socket that it is given; "@name" is an abstract one. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, argv[i], sizeof to.sun_path - 1);
    if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(argv[i]);
    const int done = fd < 0 ? -1 : connect(fd, (struct sockaddr*)&to, size);
    printf("%s%s", done == 0 ? "reached" : strerrorname_np(errno), i + 1 < argc ? " " : "\n");
  }
  return 0;
}
