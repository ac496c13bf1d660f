/* Makes threads until that fails; says how many there were, and why no more. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void* stay(void* unused) {
  for (;;) pause();
  return unused;
}

int main(void) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 16384);
  int count = 0;
  int error = 0;
  for (; count < 10000 && error == 0; ++count) {
    pthread_t thread;
    error = pthread_create(&thread, &small, stay, NULL);
  }
  printf("%d %s\n", count - 1, strerrorname_np(error));
  fflush(stdout);
  _exit(0);
}
