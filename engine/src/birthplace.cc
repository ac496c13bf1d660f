#include "birthplace.h"

#include <pthread.h>

namespace carrel {
namespace {

// Changes only where a process has one thread: its own fork() is not over.
constinit std::uint32_t forks = 0;

// As the program is loaded: before anything is made.
[[gnu::constructor]] void begin() noexcept {
  pthread_atfork(nullptr, nullptr, [] { ++forks; });
}

}  // namespace

Birthplace::Birthplace() noexcept : forks_(forks) {}

bool Birthplace::here() const noexcept { return forks_ == forks; }

}  // namespace carrel
