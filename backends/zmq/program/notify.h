// What a service says to its manager: sd_notify's protocol, without its library.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace carrel::zmq {

class Notify {
 public:
  // Reads NOTIFY_SOCKET and WATCHDOG_USEC. Where there is no manager, nothing is said.
  Notify();
  ~Notify();
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  // "READY=1", "STATUS=…"; more than one are joined by '\n'. Never blocks.
  void say(std::string_view text) const noexcept;
  // How often the manager wants to hear WATCHDOG=1; nothing: it does not.
  std::optional<std::chrono::microseconds> watchdog() const noexcept { return watchdog_; }

 private:
  int fd_ = -1;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace carrel::zmq
