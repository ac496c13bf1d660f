/* Tries to reach somebody by TCP and UDP, on this machine (port argv[1]) and off it; of
   the Internet's version 4, or 6 ("6" as argv[2]). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char* reach(int type, const char* address, int port) {
  struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  const int old = inet_pton(AF_INET, address, &to4.sin_addr) == 1;
  if (!old) inet_pton(AF_INET6, address, &to6.sin6_addr);
  const struct sockaddr* to = old ? (struct sockaddr*)&to4 : (struct sockaddr*)&to6;
  const socklen_t size = old ? sizeof to4 : sizeof to6;
  const int fd = socket(to->sa_family, type | SOCK_NONBLOCK, 0);
  if (fd < 0) return strerrorname_np(errno);
  const int done = type == SOCK_DGRAM ? (int)sendto(fd, "x", 1, 0, to, size)
                                      : connect(fd, to, size);
  const char* answer = done >= 0 ? "reached" : strerrorname_np(errno);
  close(fd);
  return answer;
}

int main(int argc, char** argv) {
  const int port = argc > 1 ? atoi(argv[1]) : 9;
  const int six = argc > 2 && strcmp(argv[2], "6") == 0;
  const char* here = six ? "::1" : "127.0.0.1";
  const char* there = six ? "2001:db8::1" : "192.0.2.1";
  printf("%s ", reach(SOCK_STREAM, here, port));
  printf("%s ", reach(SOCK_DGRAM, here, port));
  printf("%s ", reach(SOCK_STREAM, there, 80));
  printf("%s\n", reach(SOCK_DGRAM, there, 53));
  return 0;
}
