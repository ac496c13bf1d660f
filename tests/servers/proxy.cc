#include "proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace carrel::test {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// What is sent in two parts is not to wait for an acknowledgement in between.
void send_at_once(int fd) {
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// Ends a connection, and returns when the other end's system has heard of it: on a busy
// machine that may be later, also on one and the same.
void close_heard(int fd) {
  ::shutdown(fd, SHUT_WR);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  tcp_info info{};
  do {
    socklen_t size = sizeof info;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) break;
    std::this_thread::yield();
  } while (info.tcpi_state == TCP_FIN_WAIT1 && std::chrono::steady_clock::now() < end);
  ::close(fd);
}

}  // namespace

Proxy::Proxy(int to_port) : to_port_(to_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &size) != 0 || ::pipe2(wake_, O_CLOEXEC) != 0) {
    throw std::runtime_error("a proxy has no port");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { loop(); });
}

Proxy::~Proxy() {
  stopping_ = true;
  wake();
  thread_.join();
  for (const int fd : {listener_, wake_[0], wake_[1]}) ::close(fd);
}

void Proxy::wake() { [[maybe_unused]] const auto n = ::write(wake_[1], "", 1); }

void Proxy::cut() {
  cutting_ = true;
  wake();
  cutting_.wait(true);
}

void Proxy::pass() {
  cut();
  swallowing_ = false;
}

void Proxy::hold_answers() {
  holding_ = true;
  wake();
}

void Proxy::let_go() {
  holding_ = false;
  wake();
}

void Proxy::before(std::string text, std::function<void()> act) {
  const std::lock_guard lock(mutex_);
  text_ = std::move(text);
  act_ = std::move(act);
}

void Proxy::look_for_text(std::string_view sent) {
  std::function<void()> act;
  {
    const std::lock_guard lock(mutex_);
    if (text_.empty() || sent.find(text_) == std::string_view::npos) return;
    text_.clear();
    act = std::exchange(act_, nullptr);
  }
  act();
}

std::optional<std::string_view> Proxy::receive(int from) {
  const ssize_t n = ::recv(from, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return std::string_view();
  if (n <= 0) return std::nullopt;
  if (swallowing_) return std::string_view();
  return std::string_view(buffer_.data(), static_cast<std::size_t>(n));
}

bool Proxy::send_on(std::string_view bytes, int to) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Proxy::forward_sent(Line& line) {
  ++sent_;
  line.answer = 0;
  const auto bytes = receive(line.client);
  if (!bytes) return false;
  look_for_text(*bytes);
  return send_on(*bytes, line.server);
}

bool Proxy::forward_answer(Line& line) {
  const auto bytes = receive(line.server);
  if (!bytes || !send_on(*bytes, line.client)) return false;
  line.answer += bytes->size();
  longest_answer_ = std::max<std::size_t>(longest_answer_, line.answer);
  return true;
}

void Proxy::loop() {
  const auto close_line = [](const Line& line) {
    close_heard(line.client);
    if (line.server >= 0) close_heard(line.server);
  };
  for (;;) {
    std::vector<pollfd> fds = {{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const Line& line : lines_) {
      fds.push_back({line.client, POLLIN, 0});
      fds.push_back({holding_ ? -1 : line.server, POLLIN, 0});
    }
    ::poll(fds.data(), fds.size(), -1);
    if (fds[0].revents != 0) {
      char byte = 0;
      [[maybe_unused]] const auto n = ::read(wake_[0], &byte, 1);
    }
    if (stopping_ || cutting_) {
      for (const Line& line : lines_) close_line(line);
      lines_.clear();
      cutting_ = false;
      cutting_.notify_all();
      if (stopping_) return;
      continue;
    }
    std::vector<Line> kept;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      Line& line = lines_[i];
      const bool alive = (fds[2 + 2 * i].revents == 0 || forward_sent(line)) &&
                         (fds[3 + 2 * i].revents == 0 || forward_answer(line));
      if (alive) {
        kept.push_back(line);
      } else {
        close_line(line);
      }
    }
    lines_ = std::move(kept);
    if (fds[1].revents == 0) continue;
    Line line{::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), -1};
    if (line.client < 0) continue;
    send_at_once(line.client);
    if (!swallowing_) {
      line.server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = loopback(to_port_);
      if (::connect(line.server, reinterpret_cast<const sockaddr*>(&address),
                    sizeof address) != 0) {
        close_line(line);
        continue;
      }
      send_at_once(line.server);
    }
    lines_.push_back(line);
  }
}

}  // namespace carrel::test
