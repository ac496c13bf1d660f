#include "accept.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace carrel::zmq {
namespace {

constexpr int kNone = -1;
std::atomic<int> spare{kNone};

int another() noexcept { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

// So that it waits no more: its client hears at once, and comes again later.
void refuse_one(int listener) noexcept {
  const int kept = spare.exchange(kNone);
  if (kept == kNone) return;
  close(kept);
  const auto fd =
      static_cast<int>(syscall(SYS_accept4, listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (fd >= 0) close(fd);
  spare = another();
}

}  // namespace

void refuse_what_has_no_descriptor() noexcept { spare = another(); }

}  // namespace carrel::zmq

// Before the one of the C library, for libzmq too: the program has the name first.
extern "C" __attribute__((visibility("default"))) int accept4(int listener,
                                                              sockaddr* address,
                                                              socklen_t* length,
                                                              int flags) {
  const auto fd =
      static_cast<int>(syscall(SYS_accept4, listener, address, length, flags));
  if (fd >= 0) {
    using carrel::zmq::spare;
    if (spare == carrel::zmq::kNone) spare = carrel::zmq::another();
    return fd;
  }
  switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      carrel::zmq::refuse_one(listener);
      errno = ECONNABORTED;
      break;
    default:
      break;
  }
  return fd;
}
