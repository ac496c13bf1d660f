/* Kills whatever it may. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  const int done = kill(-1, SIGKILL);
  const char* answer = done == 0 ? "killed" : strerrorname_np(errno);
  int status = 0;
  waitpid(child, &status, 0);
  printf("%s %d\n", answer, WTERMSIG(status));
  return 0;
}
