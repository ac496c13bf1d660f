#include <cstdio>

int main() {
  int* volatile sum = nullptr;
  for (int number; std::scanf("%d", &number) == 1;) *sum += number;
  std::printf("%d\n", *sum);
}
