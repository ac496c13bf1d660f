// The program carrel-broker in a folder of its own, under a service manager of the
// test's.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>

#include "../../fault/child.h"
#include "../sql/sqlite_files.h"

namespace carrel::zmq {

using namespace std::chrono_literals;
using fault::Child;

// What a service says to its manager. The test's own socket stands for systemd's.
class Manager {
 public:
  explicit Manager(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    timeval patience{60, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("cannot bind " + path);
    }
  }
  ~Manager() { close(fd_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // The next message that holds `part`.
  std::string hear(const std::string& part) const {
    char buffer[4096];
    for (;;) {
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) return {};
      std::string text(buffer, static_cast<std::size_t>(n));
      if (text.find(part) != std::string::npos) return text;
    }
  }

 private:
  int fd_ = -1;
};

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() : manager_(file("notify")) {
    setenv("NOTIFY_SOCKET", file("notify").c_str(), 1);
    setenv("WATCHDOG_USEC", "200000", 1);
    unsetenv("WATCHDOG_PID");
  }
  ~ProgramTest() override {
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
  }

  std::string file(const std::string& name) const { return directory_.file(name); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
  }
  Child serve() const {
    return Child({BROKER_PROGRAM, "serve", "--config", file("broker.toml")});
  }
  static int code_of(Child& child) {
    const auto status = child.wait_end(60s);
    return status && WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
  }
  std::string url() const { return "zmq+ipc://" + file("sock"); }

  const test::TemporaryDirectory directory_;
  const Manager manager_;
};

}  // namespace carrel::zmq
