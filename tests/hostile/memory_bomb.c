/* Takes memory, and writes to it, until there is no more; says how many MiB there were. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  const int most = argc > 1 ? atoi(argv[1]) : 100000;
  int count = 0;
  for (; count < most; ++count) {
    char* block = malloc(1 << 20);
    if (block == NULL) break;
    memset(block, 1, 1 << 20);
  }
  printf("%d\n", count);
  return 0;
}
