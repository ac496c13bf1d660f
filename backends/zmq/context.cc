#include "context.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace carrel::zmq {
namespace {

// libzmq ends the process where it gets no descriptor for a thread of its own, or for a
// socket of this thread: these are looked for before.
Result<void> has_descriptors() {
  std::array<int, 8> fds{};
  fds.fill(-1);
  int error = 0;
  for (int& fd : fds) {
    fd = eventfd(0, EFD_CLOEXEC);
    if (fd < 0) error = errno;
  }
  for (const int fd : fds) {
    if (fd >= 0) close(fd);
  }
  if (error == 0) return {};
  return fail(Code::kUnavailable,
              std::string("ZeroMQ needs descriptors: ") + std::strerror(error), "zmq",
              error);
}

}  // namespace

Result<::zmq::context_t*> context() {
  if (auto ok = has_descriptors(); !ok) return tl::unexpected<Error>(ok.error());
  struct Made {
    ::zmq::context_t* context = new ::zmq::context_t(1, 16'384);
    pid_t process = getpid();
  };
  static const Made made;
  if (made.process == getpid()) return made.context;
  return fail(Code::kUnsupported,
              "ZeroMQ was in use before this process was forked: a child must not use "
              "it, but may execute another program that does",
              "zmq");
}

}  // namespace carrel::zmq
