/* Prints how many bytes its input has. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
  static char buffer[65536];
  unsigned long long total = 0;
  for (ssize_t n; (n = read(0, buffer, sizeof buffer)) > 0;)
    total += (unsigned long long)n;
  printf("%llu\n", total);
  return 0;
}
