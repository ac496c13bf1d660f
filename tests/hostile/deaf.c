/* Never reads its input; ends when a line comes from nowhere: after argv[1] milliseconds.
 */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  usleep((useconds_t)(argc > 1 ? atoi(argv[1]) : 0) * 1000);
  return 0;
}
