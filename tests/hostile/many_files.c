/* Opens files until that fails. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  int count = 0;
  while (count < 1000000 && open("/dev/null", O_RDONLY) >= 0) ++count;
  printf("%d %s\n", count + 4, strerrorname_np(errno)); /* and the four that it began with */
  return 0;
}
