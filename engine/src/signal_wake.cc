#include "signal_wake.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace carrel {
namespace {

std::atomic<int> wake_fd{-1};
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int) {
  const int saved = errno;
  const std::uint64_t one = 1;
  const int fd = wake_fd.load();
  if (fd >= 0) (void)!write(fd, &one, sizeof one);
  errno = saved;
}

bool take(int signal) {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 ||
      now.sa_handler != SIG_DFL) {
    return false;
  }
  struct sigaction ours {};
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  sigemptyset(&ours.sa_mask);
  return sigaction(signal, &ours, nullptr) == 0;
}

void give_back(int signal) {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 ||
      now.sa_handler != on_signal) {
    return;  // the host has put up one of its own meanwhile
  }
  struct sigaction defaults {};
  defaults.sa_handler = SIG_DFL;
  sigaction(signal, &defaults, nullptr);
}

}  // namespace

SignalWake::SignalWake(int fd, std::initializer_list<int> signals) noexcept {
  int none = -1;
  mine_ = wake_fd.compare_exchange_strong(none, fd);
  if (!mine_) return;
  for (const int signal : signals) {
    if (count_ < taken_.size() && take(signal)) taken_[count_++] = signal;
  }
}

SignalWake::~SignalWake() {
  for (std::size_t i = 0; i < count_; ++i) give_back(taken_[i]);
  if (mine_) wake_fd = -1;
}

}  // namespace carrel
