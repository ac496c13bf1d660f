// The limit of the warm figures: a bare pool of forked children that wait on one socket.
// It is linked into the program that measures the engine, so that both are forked from
// the same image.
#pragma once

#include <cstddef>

namespace bench {

// A child of this process keeps `idle` children of its own. All of them wait on one
// shared socket; whichever takes a job of 200 bytes answers with 1 KiB on the same
// socket, and ends after `jobs_each`; another is forked in its place. Not thread-safe.
// Errors end the program: there is nothing to measure.
class WarmPool {
 public:
  // Forks; call before there are threads or much memory.
  WarmPool(std::size_t idle, std::size_t jobs_each);
  ~WarmPool();
  WarmPool(const WarmPool&) = delete;
  WarmPool& operator=(const WarmPool&) = delete;

  // Runs `jobs` requests, `in_flight` at a time. Seconds that it took.
  double run(std::size_t jobs, std::size_t in_flight);

 private:
  int socket_ = -1;
  int pid_ = -1;
};

}  // namespace bench
