/* Lowers what its supervisor may open, so that it cannot look at the processes any more; then
   burns ten seconds in short children, one after the other. */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(void) {
  const struct rlimit few = {2, 2};
  prlimit(getppid(), RLIMIT_NOFILE, &few, NULL);
  for (int i = 0; i < 50; ++i) {
    if (fork() == 0) {
      while (clock() < CLOCKS_PER_SEC / 5) {
      }
      _exit(0);
    }
    wait(NULL);
  }
  return 0;
}
