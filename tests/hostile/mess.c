/* Leaves in its folder what a host must not fall for: a link, a hard link to argv[2], a
   pipe, and folders that are deep or wide, or may not be entered. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "link") == 0) return symlink("/etc/passwd", "out.txt");
  if (strcmp(what, "folder_link") == 0) return symlink("/etc", "out");
  if (strcmp(what, "hard_link") == 0) return link(argv[2], "out.txt") != 0;
  if (strcmp(what, "wide") == 0) {
    char name[32];
    for (int i = 0; i < 5000; ++i) {
      snprintf(name, sizeof name, i % 2 ? "folder-%d" : "file-%d", i);
      const int made = i % 2 ? mkdir(name, 0) : close(open(name, O_CREAT | O_WRONLY, 0));
      if (made != 0) return 1;
    }
    printf("\"wide\"\n");
    return 0;
  }
  if (strcmp(what, "pipe") == 0) return mkfifo("out.txt", 0600);
  if (strcmp(what, "file") == 0) {
    const int file = open("out.txt", O_CREAT | O_WRONLY, 0600);
    return write(file, "made\n", 5) == 5 ? 0 : 1;
  }
  if (strcmp(what, "binary") == 0) {
    const int file = open("out.txt", O_CREAT | O_WRONLY, 0600);
    return write(file, "\xff\xfe\x00", 3) == 3 ? 0 : 1;
  }
  const int levels = 400; /* longer than any path may be */
  for (int i = 0; i < levels; ++i) {
    if (mkdir("a-folder-of-some-length", 0700) != 0 || chdir("a-folder-of-some-length") != 0) {
      return 1;
    }
    if (i % 100 == 0 && close(open("file", O_CREAT | O_WRONLY, 0)) != 0) return 1;
  }
  for (int i = 0; i < 20; ++i) {
    if (chdir("..") != 0 || chmod("a-folder-of-some-length", 0) != 0) return 1;
  }
  printf("\"deep\"\n");
  return 0;
}
