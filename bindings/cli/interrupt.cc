#include "interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>

namespace carrel::cli {
namespace {

std::atomic<int> write_end{-1};
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int) {
  const int saved = errno;
  const char byte = 1;
  (void)!write(write_end.load(), &byte, 1);
  errno = saved;
}

}  // namespace

Interrupt::Interrupt() {
  if (pipe2(pipe_, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe");
  }
  write_end = pipe_[1];
  thread_ = std::jthread([this] {
    char byte = 0;
    ssize_t n = 0;
    while ((n = read(pipe_[0], &byte, 1)) < 0 && errno == EINTR) {
    }
    if (n == 1) source_.request_stop();
  });
  struct sigaction ours {};
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  sigemptyset(&ours.sa_mask);
  sigaction(SIGINT, &ours, &int_before_);
  sigaction(SIGTERM, &ours, &term_before_);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &int_before_, nullptr);
  sigaction(SIGTERM, &term_before_, nullptr);
  write_end = -1;
  close(pipe_[1]);  // ends the thread
  thread_.join();
  close(pipe_[0]);
}

}  // namespace carrel::cli
