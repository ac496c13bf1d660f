/* The program that exec jobs and their limit run: reads stdin to its end, answers with
   1 KiB of JSON. Linked statically, so that its own start costs little. */
#include <string.h>
#include <unistd.h>

int main(void) {
  char in[4096];
  while (read(0, in, sizeof in) > 0) {
  }
  char out[1024];
  memset(out, 'x', sizeof out);
  out[0] = out[sizeof out - 1] = '"';
  return write(1, out, sizeof out) == (ssize_t)sizeof out ? 0 : 1;
}
