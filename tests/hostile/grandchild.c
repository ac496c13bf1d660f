/* Leaves a child behind that holds all its descriptors; argv[1] "session": one that has
   left its session as well, as daemons do. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const int daemon = argc > 1 && strcmp(argv[1], "session") == 0;
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    if (daemon) {
      setsid();
      if (fork() != 0) _exit(0);
    }
    for (;;) pause();
  }
  printf("\"left\"\n");
  return 0;
}
