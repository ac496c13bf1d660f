/* A file in memory, which no limit on memory counts: grown by writing and by length. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
  static char block[1 << 16];
  signal(SIGXFSZ, SIG_IGN);
  const int file = memfd_create("hidden", 0);
  if (file < 0) return 1;
  long written = 0;
  for (ssize_t n; (n = write(file, block, sizeof block)) > 0;) written += n;
  const int by_writing = errno;
  const int set = ftruncate(file, 1L << 40);
  printf("%ld %s %s\n", written, strerrorname_np(by_writing),
         set == 0 ? "grown" : strerrorname_np(errno));
  return 0;
}
