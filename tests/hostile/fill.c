/* Fills the temporary folder: with bytes in many files, or with empty files ("inodes"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  static char block[1 << 20];
  const int inodes = argc > 1 && strcmp(argv[1], "inodes") == 0;
  int count = 0;
  int error = 0;
  for (; count < 100000 && error == 0; ++count) {
    char name[32];
    snprintf(name, sizeof name, "/tmp/%d", count);
    const int file = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (file < 0 || (!inodes && write(file, block, sizeof block) < (ssize_t)sizeof block)) {
      error = errno;
    }
    if (file >= 0) close(file);
  }
  printf("%d %s\n", count - 1, strerrorname_np(error));
  return 0;
}
