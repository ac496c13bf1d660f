#include "no_forks.h"

#include <pthread.h>

namespace carrel::process {
namespace {

// Side by side: a server, and each child of it, has the page of both for its own.
constinit std::mutex server;
constinit std::mutex forks;

void unlock() {
  forks.unlock();
  server.unlock();
}

// As the program is loaded: so fork() takes the locks of the host's own handlers first,
// as a thread does that starts an engine under one of these.
[[gnu::constructor]] void begin() noexcept {
  pthread_atfork(
      [] {
        server.lock();
        forks.lock();
      },
      unlock, unlock);
}

}  // namespace

std::mutex& server_lock() noexcept { return server; }

NoForks::NoForks() { forks.lock(); }
NoForks::~NoForks() { forks.unlock(); }

}  // namespace carrel::process
