/* Its child writes the end of the output after it has ended itself. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
  printf("[1,");
  fflush(stdout);
  const pid_t parent = getpid();  // the child may start after its parent has ended
  if (fork() == 0) {
    while (getppid() == parent) usleep(1000);
    return write(1, "2]", 2) == 2 ? 0 : 1;
  }
  return 0;
}
