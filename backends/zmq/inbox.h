// Hands things to a thread that waits in poll().
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace carrel::zmq {

// Threads: push from any; fd and take from the one that owns it.
template <class T>
class Inbox {
 public:
  Inbox() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  ~Inbox() { close(fd_); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  void push(T item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    // Within the lock: once it is taken, the owner may be gone, and the descriptor too.
    if (items_.size() == 1) {
      const std::uint64_t one = 1;
      static_cast<void>(!write(fd_, &one, sizeof one));
    }
  }
  // Readable while there is something to take.
  int fd() const noexcept { return fd_; }
  std::vector<T> take() {
    const std::lock_guard lock(mutex_);
    if (items_.empty()) return {};
    std::uint64_t count = 0;
    static_cast<void>(!read(fd_, &count, sizeof count));
    return std::exchange(items_, {});
  }

 private:
  const int fd_;
  std::mutex mutex_;
  std::vector<T> items_;
};

}  // namespace carrel::zmq
