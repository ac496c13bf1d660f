#include "interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace carrel::cli {

Interrupt::Interrupt() : fd_(eventfd(0, EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  signals_.emplace(fd_);
  thread_ = std::thread([this] {
    std::uint64_t count = 0;
    while (read(fd_, &count, sizeof count) < 0 && errno == EINTR) {
    }
    source_.request_stop();  // at the end nobody heeds it any more
  });
}

Interrupt::~Interrupt() {
  signals_.reset();
  const std::uint64_t one = 1;
  (void)!write(fd_, &one, sizeof one);
  thread_.join();
  close(fd_);
}

}  // namespace carrel::cli
