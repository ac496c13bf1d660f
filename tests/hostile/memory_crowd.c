/* Twenty processes of 40 MB each, all at once: every one is small. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  for (int i = 0; i < 20; ++i) {
    if (fork() != 0) continue;
    char* block = malloc(40 << 20);
    if (block == NULL) return 1;
    memset(block, 1, 40 << 20);
    for (;;) pause();
  }
  int status = 0;
  wait(&status);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : 1;
}
