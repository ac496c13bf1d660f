#include "unshared_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

namespace carrel {

// Those that are open. No fork() begins while one is opened or closed, so a child never
// has a descriptor that is not in the list, nor one in the list that is another's by now.
// Hidden, as each module of a program has its own: else all would share one mutex, and
// the handlers of a second one would wait for the first's.
struct [[gnu::visibility("hidden")]] UnsharedFile::Forking {
  static inline constinit std::mutex mutex;
  static inline constinit UnsharedFile* first = nullptr;

  static inline constinit int error = 0;  // why there are no handlers

  // As the program is loaded: before any thread can fork, and before handlers of the
  // host's, so that fork() takes the host's locks first, as opening a store under one of
  // these does.
  [[gnu::constructor]] static void begin() noexcept {
    error = pthread_atfork(before, in_parent, in_child);
  }
  static void before() { mutex.lock(); }
  static void in_parent() { mutex.unlock(); }
  static void in_child() {
    while (first != nullptr) {
      UnsharedFile& file = *first;
      first = file.next_;
      ::close(file.fd_);
      file.fd_ = -1;
    }
    mutex.unlock();
  }
};

bool UnsharedFile::open(const char* path, int flags, unsigned mode) noexcept {
  if (Forking::error != 0) {
    errno = Forking::error;
    return false;
  }
  const std::lock_guard lock(Forking::mutex);
  fd_ = ::open(path, flags | O_CLOEXEC, mode);
  if (fd_ < 0) return false;
  previous_ = nullptr;
  next_ = Forking::first;
  if (next_ != nullptr) next_->previous_ = this;
  Forking::first = this;
  return true;
}

UnsharedFile::~UnsharedFile() {
  if (fd_ < 0) return;
  const std::lock_guard lock(Forking::mutex);
  (previous_ != nullptr ? previous_->next_ : Forking::first) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  ::close(fd_);
}

}  // namespace carrel
