// Right for small numbers only.
#include <cstdio>

int main() {
  unsigned sum = 0;
  for (int number; std::scanf("%d", &number) == 1;) sum += static_cast<unsigned>(number);
  std::printf("%d\n", static_cast<int>(sum));
}
