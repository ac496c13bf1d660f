#include "context.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
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

void unbind(::zmq::socket_t& socket, std::span<const std::string> endpoints) noexcept {
  constexpr int kPatienceMs = 1'000;
  static std::atomic<unsigned> calls{0};
  try {
    const auto made = context();
    if (!made) return;
    // A listener says that it is closed, and nothing else does.
    const std::string events = "inproc://carrel-unbind-" + std::to_string(++calls);
    if (zmq_socket_monitor(socket.handle(), events.c_str(), ZMQ_EVENT_CLOSED) != 0)
      return;
    ::zmq::socket_t monitor(**made, ::zmq::socket_type::pair);
    monitor.set(::zmq::sockopt::linger, 0);
    monitor.set(::zmq::sockopt::rcvtimeo, kPatienceMs);
    monitor.connect(events);
    std::size_t listeners = 0;
    for (const std::string& endpoint : endpoints) {
      socket.unbind(endpoint);
      if (!endpoint.starts_with("inproc:")) ++listeners;
    }
    ::zmq::message_t event;
    ::zmq::message_t where;
    for (; listeners > 0 && monitor.recv(event) && monitor.recv(where); --listeners) {
    }
    zmq_socket_monitor(socket.handle(), nullptr, 0);
  } catch (const std::exception&) {  // then they are free a little later
  }
}

}  // namespace carrel::zmq
