/* Who it is: real, effective and saved user, and its capabilities. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  uid_t real, effective, saved;
  getresuid(&real, &effective, &saved);
  char line[256] = "";
  FILE* status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status) != NULL) {
    if (strncmp(line, "CapPrm:", 7) == 0) break;
  }
  printf("%u %u %u %s", real, effective, saved, line);
  return 0;
}
