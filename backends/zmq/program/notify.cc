#include "notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace carrel::zmq {
namespace {

std::optional<long> number_in(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  long number = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  if (error != std::errc{} || stop != end || number <= 0) return std::nullopt;
  return number;
}

}  // namespace

Notify::Notify() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  const std::string_view name = path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() < 2 || name.size() >= sizeof address.sun_path) return;
  name.copy(address.sun_path, name.size());
  if (name.front() == '@') address.sun_path[0] = '\0';  // in the abstract namespace
  fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (fd_ >= 0 && connect(fd_, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    close(fd_);
    fd_ = -1;
  }
  // The manager may mean another process of this service.
  const auto process = number_in("WATCHDOG_PID");
  const auto interval = number_in("WATCHDOG_USEC");
  if (interval && (!process || *process == getpid())) {
    watchdog_ = std::chrono::microseconds(*interval);
  }
}

Notify::~Notify() {
  if (fd_ >= 0) close(fd_);
}

void Notify::say(std::string_view text) const noexcept {
  if (fd_ >= 0) static_cast<void>(send(fd_, text.data(), text.size(), MSG_NOSIGNAL));
}

}  // namespace carrel::zmq
