#include "no_forks.h"

#include <pthread.h>

#include <mutex>

namespace carrel::process {
namespace {

constinit std::mutex forks;

// As the program is loaded: so fork() takes the locks of the host's own handlers first,
// as a thread does that starts an engine under one of these.
[[gnu::constructor]] void begin() noexcept {
  pthread_atfork([] { forks.lock(); }, [] { forks.unlock(); }, [] { forks.unlock(); });
}

}  // namespace

NoForks::NoForks() { forks.lock(); }
NoForks::~NoForks() { forks.unlock(); }

}  // namespace carrel::process
