/* Sockets that lead out of a network namespace, and calls that make any socket. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char* family(long number) {
  const long fd = syscall(SYS_socket, number, SOCK_DGRAM, 0);
  return fd >= 0 ? "made" : strerrorname_np(errno);
}

int main(void) {
  printf("%s %s %s ", family(AF_VSOCK), family(AF_NETLINK), family(AF_PACKET));
  /* The kernel looks at 32 bits of the number only. */
  printf("%s ", family(0x100000000L + AF_VSOCK));
  char parameters[256] = {0};
  printf("%s\n",
         syscall(SYS_io_uring_setup, 4, parameters) >= 0 ? "made" : strerrorname_np(errno));
  return 0;
}
