/* Forks children that stay until that fails; says how many there were, and why no more. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  int count = 0;
  for (; count < 10000; ++count) {
    const pid_t child = fork();
    if (child < 0) break;
    if (child == 0) {
      for (;;) pause();
    }
  }
  printf("%d %s\n", count, strerrorname_np(errno));
  return 0;
}
