/* Of what a limit measured. */
#ifndef CARREL_BENCH_LIMITS_MEDIAN_H_
#define CARREL_BENCH_LIMITS_MEDIAN_H_

#include <stdlib.h>

static inline int carrel_by_size(const void* a, const void* b) {
  const double x = *(const double*)a;
  const double y = *(const double*)b;
  return (x > y) - (x < y);
}

/* Of `count` > 0 figures, which it sorts. */
static inline double median(double* figures, size_t count) {
  qsort(figures, count, sizeof *figures, carrel_by_size);
  return figures[count / 2];
}

#endif
