#include "server/watchdog.h"

#include <sys/socket.h>

#include <cerrno>

#include "threads.h"

namespace carrel::sql::server {
namespace {

std::int64_t now() noexcept {
  return std::chrono::duration_cast<Duration>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Watchdog::Watchdog(Duration limit)
    : limit_(limit), thread_(named_thread("carrel-watch", [this] { loop(); })) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Watchdog::loop() noexcept {
  std::unique_lock lock(mutex_);
  // It looks now and then instead of being told of each call: a call costs two stores.
  while (!wake_.wait_for(lock, limit_ / 4, [this] { return stopping_; })) {
    const std::int64_t at = now();
    for (Watched* watched : watched_) {
      const std::int64_t deadline = watched->deadline_;
      if (deadline == 0 || at < deadline || watched->bitten_) continue;
      watched->bitten_ = true;
      ::shutdown(watched->socket_, SHUT_RDWR);
    }
  }
}

Watchdog::Watched::Watched(Watchdog& dog, int socket) : dog_(dog), socket_(socket) {
  const std::lock_guard lock(dog_.mutex_);
  place_ = dog_.watched_.insert(dog_.watched_.end(), this);
}

Watchdog::Watched::~Watched() {
  const std::lock_guard lock(dog_.mutex_);
  dog_.watched_.erase(place_);
}

void Watchdog::Watched::begin() noexcept { deadline_ = now() + dog_.limit_.count(); }

bool Watchdog::Watched::is_quiet() const noexcept {
  char byte = 0;
  return ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Watchdog::Watched::cut() noexcept { ::shutdown(socket_, SHUT_RDWR); }

}  // namespace carrel::sql::server
