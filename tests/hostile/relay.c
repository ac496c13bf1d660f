/* Burns a fifth of a second in one process after the other: none is ever past a limit. */
#include <time.h>
#include <unistd.h>

int main(void) {
  if (fork() != 0) {
    for (;;) pause();
  }
  for (;;) {
    while (clock() < CLOCKS_PER_SEC / 5) {
    }
    if (fork() != 0) _exit(0);
  }
}
