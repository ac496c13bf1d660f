// The limit of fork.rate: a bare fork server. It is linked into the program that measures
// the engine, so that both servers are forked from the same image.
#pragma once

#include <cstddef>

namespace bench {

// A child of this process that forks one child for every request of 200 bytes, which
// sends 1 KiB through a pipe of its own and exits; the server waits for it and answers
// with its status. Not thread-safe. Errors end the program: there is nothing to measure.
class ForkServer {
 public:
  ForkServer();  // forks; call before there are threads or much memory
  ~ForkServer();
  ForkServer(const ForkServer&) = delete;
  ForkServer& operator=(const ForkServer&) = delete;

  // Runs `jobs` requests, `in_flight` (≤ 64) at a time. Seconds that it took.
  double run(std::size_t jobs, std::size_t in_flight);

 private:
  int socket_ = -1;
  int pid_ = -1;
};

}  // namespace bench
