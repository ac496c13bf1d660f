#include <cstdio>
#include <vector>

int main() {
  std::size_t limit = 0, count = 0;
  if (std::scanf("%zu", &limit) != 1) return 1;
  std::vector<bool> composite(limit + 1);
  for (std::size_t n = 2; n <= limit; ++n) {
    if (composite[n]) continue;
    ++count;
    for (std::size_t m = n * n; m <= limit; m += n) composite[m] = true;
  }
  std::printf("%zu\n", count);
}
