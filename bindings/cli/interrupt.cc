#include "interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace carrel::cli {

Interrupt::Interrupt(std::function<void()> heard) : fd_(eventfd(0, EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  signals_.emplace(fd_, std::initializer_list<int>{SIGINT, SIGTERM, SIGHUP});
  thread_ = std::thread([this, heard = std::move(heard)] {
    wait();
    if (ending_) return;
    source_.request_stop();  // first: what is heard may take its time
    if (heard) heard();
  });
}

Interrupt::~Interrupt() {
  signals_.reset();
  ending_ = true;
  const std::uint64_t one = 1;
  (void)!write(fd_, &one, sizeof one);
  thread_.join();
  close(fd_);
}

bool Interrupt::came() const noexcept {
  pollfd now{fd_, POLLIN, 0};
  return poll(&now, 1, 0) > 0;
}

void Interrupt::wait() const {
  pollfd waiting{fd_, POLLIN, 0};
  while (poll(&waiting, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace carrel::cli
