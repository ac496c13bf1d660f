/* One file, as large as it may be; "ignore": without the signal that says so. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  static char block[1 << 16];
  if (argc > 1 && strcmp(argv[1], "ignore") == 0) signal(SIGXFSZ, SIG_IGN);
  const int file = open("large", O_CREAT | O_WRONLY, 0600);
  if (file < 0) return 1;
  long written = 0;
  for (ssize_t n; (n = write(file, block, sizeof block)) > 0;) written += n;
  printf("%ld %s\n", written, strerrorname_np(errno));
  return 0;
}
