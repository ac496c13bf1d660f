#include "ears.h"

#include <sys/epoll.h>

#include <array>

namespace carrel::process {
namespace {

// While jobs are short, others have ended by the time that some were dealt with: asking
// once more costs less than a turn of the reactor, which has other work too, though.
constexpr int kRounds = 4;

}  // namespace

bool Ears::open() {
  UniqueFd set = above_stdio(UniqueFd(epoll_create1(EPOLL_CLOEXEC)));
  if (!set) return false;
  boost::system::error_code error;
  set_.assign(set.get(), error);
  if (!error) fd_ = std::move(set);
  return !error;
}

void Ears::listen(const std::shared_ptr<void>& owner,
                  std::function<void(std::span<const std::uint64_t>)> heard) {
  owner_ = owner;
  heard_ = std::move(heard);
  wait();
}

bool Ears::add(std::uint64_t child, int socket) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = child;
  return epoll_ctl(fd_.get(), EPOLL_CTL_ADD, socket, &event) == 0;
}

void Ears::wait() {
  set_.async_wait(boost::asio::posix::descriptor_base::wait_read,
                  [this, owner = owner_.lock()](const boost::system::error_code& error) {
                    if (error) return;
                    std::array<epoll_event, 64> events;
                    std::array<std::uint64_t, 64> children;
                    for (int round = 0; round < kRounds && set_.is_open(); ++round) {
                      const int count = epoll_wait(set_.native_handle(), events.data(),
                                                   events.size(), 0);
                      if (count <= 0) break;
                      for (int i = 0; i < count; ++i) children[i] = events[i].data.u64;
                      heard_({children.data(), static_cast<std::size_t>(count)});
                    }
                    if (set_.is_open()) wait();
                  });
}

void Ears::close() noexcept {
  if (set_.is_open()) set_.release();
}

}  // namespace carrel::process
