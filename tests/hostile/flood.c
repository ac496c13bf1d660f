/* Writes without end: argv[1] is the descriptor. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  static char line[4096];
  memset(line, 'x', sizeof line);
  line[sizeof line - 1] = '\n';
  const int fd = argc > 1 ? atoi(argv[1]) : 1;
  for (;;) {
    if (write(fd, line, sizeof line) < 0) return 1;
  }
}
