// Never counts up.
#include <cstdio>

int main() {
  int limit = 0, count = 0;
  if (std::scanf("%d", &limit) != 1) return 1;
  for (volatile int n = 2; n <= limit;) count += n % 2;
  std::printf("%d\n", count);
}
