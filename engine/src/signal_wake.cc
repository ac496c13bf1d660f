#include "signal_wake.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>

namespace carrel {

// They are never freed, nor their descriptors closed, but used again: a signal's handler
// may look at them at any time, on any thread.
struct SignalWake::Wake {
  const int fd;
  Wake* const next;
  std::atomic<std::uint64_t> signals{0};  // a bit each; 0: it is not used

  void add_one() const noexcept {
    const std::uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
  }
};

namespace {
std::mutex wakes_mutex;
std::atomic<void*> first_wake{nullptr};  // of a list that only grows
static_assert(std::atomic<void*>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::uint64_t bit_of(int signal) { return 1ULL << signal; }
}  // namespace

void SignalWake::on_signal(int signal) {
  const int saved = errno;
  for (auto* wake = static_cast<Wake*>(first_wake.load()); wake != nullptr;
       wake = wake->next) {
    if ((wake->signals.load() & bit_of(signal)) != 0) wake->add_one();
  }
  errno = saved;
}

void SignalWake::take(int signal) noexcept {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 ||
      now.sa_handler != SIG_DFL) {
    return;
  }
  struct sigaction ours {};
  ours.sa_handler = &SignalWake::on_signal;
  ours.sa_flags = SA_RESTART;
  sigemptyset(&ours.sa_mask);
  sigaction(signal, &ours, nullptr);
}

void SignalWake::give_back(int signal) noexcept {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 ||
      now.sa_handler != &SignalWake::on_signal) {
    return;  // the host has put up one of its own meanwhile
  }
  struct sigaction defaults {};
  defaults.sa_handler = SIG_DFL;
  sigaction(signal, &defaults, nullptr);
}

// With wakes_mutex held.
bool SignalWake::anybody_has(std::uint64_t signal) noexcept {
  for (auto* wake = static_cast<Wake*>(first_wake.load()); wake != nullptr;
       wake = wake->next) {
    if ((wake->signals.load() & signal) != 0) return true;
  }
  return false;
}

Result<SignalWake> SignalWake::make(std::initializer_list<int> signals) {
  std::uint64_t all = 0;
  for (const int signal : signals) all |= bit_of(signal);
  std::lock_guard lock(wakes_mutex);
  auto* const first = static_cast<Wake*>(first_wake.load());
  Wake* mine = first;
  while (mine != nullptr && mine->signals.load() != 0) mine = mine->next;
  if (mine == nullptr) {
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return fail(Code::kUnavailable, "eventfd failed", "engine", errno);
    mine = new Wake{fd, first};
    first_wake.store(mine);
  } else {
    std::uint64_t stale = 0;  // of who used it before
    (void)!read(mine->fd, &stale, sizeof stale);
  }
  mine->signals.store(all);
  for (const int signal : signals) take(signal);
  return SignalWake(mine);
}

SignalWake::~SignalWake() {
  if (wake_ == nullptr) return;
  std::lock_guard lock(wakes_mutex);
  const std::uint64_t mine = wake_->signals.exchange(0);
  for (int signal = 1; signal < 64; ++signal) {
    if ((mine & bit_of(signal)) != 0 && !anybody_has(bit_of(signal))) give_back(signal);
  }
}

void SignalWake::wake() const noexcept { wake_->add_one(); }
int SignalWake::descriptor() const noexcept { return wake_->fd; }

void SignalWake::wait() const noexcept {
  pollfd waiting{wake_->fd, POLLIN, 0};
  while (poll(&waiting, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace carrel
