/* Descriptors on their way over sockets that nobody reads, until no more go. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kAtOnce = 253 };

static int send_some(int socket) {
  int fds[kAtOnce] = {0};
  char control[CMSG_SPACE(sizeof fds)] = {0};
  struct iovec byte = {"x", 1};
  struct msghdr message = {.msg_iov = &byte,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  struct cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(head), fds, sizeof fds);
  return sendmsg(socket, &message, MSG_DONTWAIT) == 1;
}

int main(void) {
  for (;;) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) break;
    while (send_some(pair[0])) {
    }
    if (errno == ETOOMANYREFS) break;
  }
  dprintf(3, "log %s\n", errno == ETOOMANYREFS ? "full" : strerror(errno));
  pause();
}
