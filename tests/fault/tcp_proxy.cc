#include "tcp_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <utility>

namespace carrel::fault {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kDelay = std::chrono::milliseconds(200);

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// With a reset, not a good-bye.
void reset(int& fd) {
  if (fd < 0) return;
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(std::exchange(fd, -1));
}

}  // namespace

TcpProxy::TcpProxy(std::uint16_t server_port)
    : server_port_(server_port),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("a proxy cannot listen");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

TcpProxy::~TcpProxy() {
  stopping_ = true;
  thread_.join();
  close(listener_);
}

void TcpProxy::close_pair(Pair& pair) {
  reset(pair.client);
  reset(pair.server);
}

void TcpProxy::accept_one() {
  Pair pair;
  pair.client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (pair.client < 0) return;
  if (mode_ == Mode::kCut) return reset(pair.client);
  if (mode_ == Mode::kBlackHole || mode_ == Mode::kHalfOpen) {
    pair.spoilt = true;
  } else {
    pair.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(server_port_);
    if (connect(pair.server, reinterpret_cast<const sockaddr*>(&address),
                sizeof address) != 0) {
      return close_pair(pair);
    }
  }
  pairs_.push_back(std::move(pair));
}

void TcpProxy::take(Pair& pair, bool from_client) {
  std::array<char, 65'536> buffer;
  const int fd = from_client ? pair.client : pair.server;
  const ssize_t n = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (n <= 0) return close_pair(pair);
  if (mode_ == Mode::kBlackHole || pair.server < 0) {
    pair.spoilt = true;
    return;
  }
  const auto due = Clock::now() + (mode_ == Mode::kDelay ? kDelay : Clock::duration{});
  (from_client ? pair.to_server : pair.to_client)
      .push_back({due, {buffer.data(), static_cast<std::size_t>(n)}});
}

bool TcpProxy::give(int fd, std::vector<Chunk>& chunks) {
  std::size_t sent = 0;
  while (sent < chunks.size() && chunks[sent].due <= Clock::now()) {
    std::string& bytes = chunks[sent].bytes;
    const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno != EAGAIN) return false;
      break;
    }
    bytes.erase(0, static_cast<std::size_t>(n));
    if (!bytes.empty()) break;
    ++sent;
  }
  chunks.erase(chunks.begin(), chunks.begin() + static_cast<std::ptrdiff_t>(sent));
  return true;
}

void TcpProxy::run() {
  while (!stopping_) {
    std::vector<pollfd> items{{listener_, POLLIN, 0}};
    for (const Pair& pair : pairs_) {
      items.push_back({pair.client, POLLIN, 0});
      items.push_back({pair.server, POLLIN, 0});  // -1 is left out
    }
    const std::size_t polled = pairs_.size();
    ::poll(items.data(), items.size(), 2);  // short: what is late has no event
    for (std::size_t i = 0; i < polled; ++i) {
      if (items[1 + 2 * i].revents != 0) take(pairs_[i], true);
      if (pairs_[i].server >= 0 && items[2 + 2 * i].revents != 0) take(pairs_[i], false);
    }
    if (items[0].revents != 0) accept_one();
    for (Pair& pair : pairs_) {
      const Mode mode = mode_;
      if (mode == Mode::kHalfOpen && pair.server >= 0) {
        reset(pair.server);
        pair.spoilt = true;
      }
      const bool over = mode == Mode::kCut || (mode == Mode::kPass && pair.spoilt) ||
                        (pair.server >= 0 && (!give(pair.client, pair.to_client) ||
                                              !give(pair.server, pair.to_server)));
      if (over) close_pair(pair);
    }
    std::erase_if(pairs_, [](const Pair& pair) { return pair.client < 0; });
  }
  for (Pair& pair : pairs_) close_pair(pair);
}

}  // namespace carrel::fault
