#include "warm_pool.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {
namespace {

constexpr std::size_t kRequest = 200;
constexpr std::size_t kResult = 1024;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

[[noreturn]] void work(int socket, std::size_t jobs) {
  char request[kRequest];
  char result[kResult];
  for (; jobs > 0; --jobs) {
    if (recv(socket, request, sizeof request, 0) <= 0) break;
    std::memset(result, request[0], sizeof result);
    if (send(socket, result, sizeof result, MSG_NOSIGNAL) < 0) break;
  }
  std::_Exit(0);
}

[[noreturn]] void serve(int socket, std::size_t idle, std::size_t jobs_each) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (std::size_t alive = 0;;) {
    for (; alive < idle; ++alive) {
      const pid_t pid = fork();
      if (pid < 0) die("fork");
      if (pid == 0) work(socket, jobs_each);
    }
    if (waitpid(-1, nullptr, 0) > 0) --alive;
    // The host has closed its end: each child that waits there ends, and so does this.
    char byte;
    if (recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) std::_Exit(0);
  }
}

}  // namespace

WarmPool::WarmPool(std::size_t idle, std::size_t jobs_each) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) die("socketpair");
  pid_ = fork();
  if (pid_ < 0) die("fork");
  if (pid_ == 0) {
    close(ends[0]);
    serve(ends[1], idle, jobs_each);
  }
  close(ends[1]);
  socket_ = ends[0];
}

WarmPool::~WarmPool() {
  close(socket_);
  waitpid(pid_, nullptr, 0);
}

double WarmPool::run(std::size_t jobs, std::size_t in_flight) {
  char request[kRequest] = {'a'};
  char result[kResult];
  const auto submit = [&] {
    if (send(socket_, request, sizeof request, MSG_NOSIGNAL) < 0) die("send");
  };
  const auto begin = std::chrono::steady_clock::now();
  std::size_t sent = 0;
  for (; sent < in_flight && sent < jobs; ++sent) submit();
  for (std::size_t done = 0; done < jobs; ++done) {
    if (recv(socket_, result, sizeof result, 0) != kResult) die("recv");
    if (sent < jobs) {
      submit();
      ++sent;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return took.count();
}

}  // namespace bench
