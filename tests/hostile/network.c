/* Tries to reach somebody by TCP and UDP, on this machine (port argv[1]) and off it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char* reach(int type, const char* address, int port) {
  const int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
  if (fd < 0) return strerrorname_np(errno);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  const int done = type == SOCK_DGRAM
                       ? (int)sendto(fd, "x", 1, 0, (struct sockaddr*)&to, sizeof to)
                       : connect(fd, (struct sockaddr*)&to, sizeof to);
  const char* answer = done >= 0 ? "reached" : strerrorname_np(errno);
  close(fd);
  return answer;
}

int main(int argc, char** argv) {
  const int port = argc > 1 ? atoi(argv[1]) : 9;
  printf("%s ", reach(SOCK_STREAM, "127.0.0.1", port));
  printf("%s ", reach(SOCK_DGRAM, "127.0.0.1", port));
  printf("%s ", reach(SOCK_STREAM, "192.0.2.1", 80));
  printf("%s\n", reach(SOCK_DGRAM, "192.0.2.1", 53));
  return 0;
}
