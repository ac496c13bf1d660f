/* Burns a fifth of a second in one process after the other: none is ever past a limit.
   "waited": each is waited for by who started it; "ignored": who started it ignores its
   end, so that nobody can know what it used; else nobody waits. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void burn(void) {
  while (clock() < CLOCKS_PER_SEC / 5) {
  }
}

int main(int argc, char** argv) {
  const int ignored = argc > 1 && strcmp(argv[1], "ignored") == 0;
  if (ignored) signal(SIGCHLD, SIG_IGN);
  if (ignored || (argc > 1 && strcmp(argv[1], "waited") == 0)) {
    for (;;) {
      if (fork() == 0) {
        burn();
        _exit(0);
      }
      wait(NULL);
    }
  }
  if (fork() != 0) {
    for (;;) pause();
  }
  for (;;) {
    burn();
    if (fork() != 0) _exit(0);
  }
}
