#include "no_forks.h"

#include <pthread.h>

#include <mutex>

namespace carrel::process {
namespace {

// Never destroyed: fork() takes it as long as the process lives.
std::mutex& forks() {
  static auto* const mutex = [] {
    static std::mutex* made = nullptr;
    made = new std::mutex;
    pthread_atfork([] { made->lock(); }, [] { made->unlock(); }, [] { made->unlock(); });
    return made;
  }();
  return *mutex;
}

}  // namespace

NoForks::NoForks() { forks().lock(); }
NoForks::~NoForks() { forks().unlock(); }

}  // namespace carrel::process
