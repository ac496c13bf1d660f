/* Ignores every signal that can be ignored, says so on descriptor 3, and runs on. */
#include <signal.h>
#include <unistd.h>

int main(void) {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_IGN);
  if (write(3, "log ready\n", 10) != 10) return 1;
  for (;;) pause();
}
