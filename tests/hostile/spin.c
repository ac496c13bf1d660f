/* Burns CPU time for ever; "ignore": also past the signal that says it is enough. */
#include <signal.h>
#include <string.h>

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "ignore") == 0) signal(SIGXCPU, SIG_IGN);
  for (volatile unsigned long n = 0;; ++n) {
  }
}
