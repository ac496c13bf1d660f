/* Closes every descriptor that it was given, and runs on. */
#include <unistd.h>

int main(void) {
  for (int fd = 0; fd < 4; ++fd) close(fd);
  for (;;) pause();
}
