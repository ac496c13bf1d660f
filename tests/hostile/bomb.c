/* Every process of it forks for ever. */
#include <unistd.h>

int main(void) {
  if (write(3, "log lit\n", 8) < 0) return 1;
  for (;;) fork();
}
