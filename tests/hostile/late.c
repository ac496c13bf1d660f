/* Its child writes the end of the output after it has ended itself. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
  printf("[1,");
  fflush(stdout);
  if (fork() == 0) {
    const pid_t parent = getppid();
    while (getppid() == parent) usleep(1000);
    return write(1, "2]", 2) == 2 ? 0 : 1;
  }
  usleep(2000);
  return 0;
}
