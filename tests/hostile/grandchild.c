/* Leaves a child behind that holds all its descriptors; argv[1] "session": one that has
   left its session as well, as daemons do; "zombie": likewise, and its parent has ended
   before this does, and nobody waited for it. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const int zombie = argc > 1 && strcmp(argv[1], "zombie") == 0;
  const int daemon = zombie || (argc > 1 && strcmp(argv[1], "session") == 0);
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    if (daemon) {
      setsid();
      if (fork() != 0) _exit(0);
    }
    for (;;) pause();
  }
  siginfo_t info;
  if (zombie && waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0) return 1;
  printf("\"left\"\n");
  return 0;
}
