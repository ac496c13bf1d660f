#include "child_pipe.h"

#include <carrel/isolation.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "wire.h"

namespace carrel::process {

bool Throttle::pass() {
  const auto now = std::chrono::steady_clock::now();
  if (last_) {
    const std::chrono::duration<double> since = now - *last_;
    tokens_ = std::min(kBurst, tokens_ + since.count() * kPerSecond);
  }
  last_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

ChildPipe::~ChildPipe() { stop_companion(); }

void ChildPipe::start_companion() {
  if (companion_.joinable()) return;
  wake_.reset(eventfd(0, EFD_CLOEXEC));
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
  companion_ = std::thread([this] { accompany(); });
}

void ChildPipe::stop_companion() {
  if (!companion_.joinable()) return;
  leaving_ = true;
  wake_companion();
  companion_.join();
}

void ChildPipe::wake_companion() const noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof one);
}

void ChildPipe::progress(float fraction, std::string_view message) {
  fraction = std::isnan(fraction) ? 0 : std::clamp(fraction, 0.0F, 1.0F);
  std::lock_guard lock(sending_);
  if (throttle_.pass()) {
    held_ = false;
    send_next(FrameType::kProgress, encode_progress(fraction, message));
    return;
  }
  held_fraction_ = fraction;
  held_message_.assign(cut_text(message, kMaxProgressText));
  if (std::exchange(held_, true)) return;
  try {
    std::lock_guard starting(mutex_);
    start_companion();
    wake_companion();
  } catch (const std::system_error&) {  // then the next report tells it, or the end
  }
}

int ChildPipe::tell_held() {
  // Whoever sends may wait for long; a stop request is to be heard meanwhile.
  const std::unique_lock lock(sending_, std::try_to_lock);
  if (!lock) return static_cast<int>(Throttle::kPause.count());
  if (!held_) return -1;
  if (!throttle_.pass()) return static_cast<int>(Throttle::kPause.count());
  held_ = false;
  send_next(FrameType::kProgress, encode_progress(held_fraction_, held_message_));
  return -1;
}

void ChildPipe::checkpoint(std::string_view bytes) {
  if (bytes.size() > bound_) {
    throw std::length_error("the checkpoint has " + std::to_string(bytes.size()) +
                            " bytes; its limit is " + std::to_string(bound_));
  }
  send(FrameType::kCheckpoint, bytes);
}

void ChildPipe::log(std::string_view line) {
  send(FrameType::kLog, cut_text(line, kMaxLogLine));
}

bool ChildPipe::stopping() {
  if (stopped_.load()) return true;
  std::lock_guard lock(mutex_);
  if (!companion_.joinable()) hear(MSG_DONTWAIT);
  return stopped_.load();
}

std::stop_token ChildPipe::stop() {
  const bool now = stopping();
  std::unique_lock lock(mutex_);
  if (!source_.stop_possible()) source_ = std::stop_source();
  std::stop_source source = source_;
  if (!now) start_companion();
  lock.unlock();                        // callbacks may ask for anything
  if (stopped_) source.request_stop();  // where the companion heard it, it saw no source
  return source.get_token();
}

void ChildPipe::finish(const Outcome& outcome, const std::optional<DoneNote>& done) {
  stop_companion();
  if (held_) send(FrameType::kProgress, encode_progress(held_fraction_, held_message_));
  std::array<char, kFrameHeader + sizeof(DoneNote)> last;
  std::string_view end;
  if (done) {
    const auto header = encode_frame_header(FrameType::kDone, sizeof *done);
    std::memcpy(last.data(), header.bytes.data(), kFrameHeader);
    std::memcpy(last.data() + kFrameHeader, &*done, sizeof *done);
    end = {last.data(), last.size()};
  }
  if (outcome.klass == OutcomeClass::kOk) {
    send(FrameType::kResult, outcome.result, end);
  } else {
    send(FrameType::kError, encode_error(outcome.error), end);
  }
}

bool ChildPipe::hear(int flags) {
  JobHead note;
  ssize_t n;
  do {
    n = recv(socket_, &note, sizeof note, flags);
  } while (n < 0 && errno == EINTR);
  if (n != sizeof note) return false;
  if (note.what == JobHead::What::kStop && note.run == run_) stopped_ = true;
  return true;
}

void ChildPipe::accompany() {
  pollfd polled[2] = {{wake_.get(), POLLIN, 0}, {socket_, POLLIN, 0}};
  for (bool hears = !stopped_;;) {
    if (poll(polled, hears ? 2 : 1, tell_held()) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (polled[0].revents != 0) {
      std::uint64_t woken = 0;
      if (read(wake_.get(), &woken, sizeof woken) < 0 || leaving_) return;
    }
    if (!hears || polled[1].revents == 0) continue;
    hears = hear(MSG_DONTWAIT) && !stopped_;
    if (!stopped_) continue;
    std::stop_source source(std::nostopstate);
    {
      std::lock_guard lock(mutex_);
      source = source_;
    }
    source.request_stop();
  }
}

void ChildPipe::send(FrameType type, std::string_view body, std::string_view then) {
  std::lock_guard lock(sending_);
  send_next(type, body, then);
}

void ChildPipe::send_next(FrameType type, std::string_view body, std::string_view then) {
  auto header = encode_frame_header(type, body.size());
  iovec parts[3] = {{header.bytes.data(), kFrameHeader},
                    {const_cast<char*>(body.data()), body.size()},
                    {const_cast<char*>(then.data()), then.size()}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = then.empty() ? 2 : 3;
  std::size_t left = kFrameHeader + body.size() + then.size();
  while (left > 0) {
    ssize_t n = sendmsg(socket_, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) _exit(1);  // nobody listens any more
    left -= static_cast<std::size_t>(n);
    for (iovec* part = message.msg_iov; n > 0 && left > 0;) {
      const auto step = std::min(static_cast<std::size_t>(n), part->iov_len);
      part->iov_base = static_cast<char*>(part->iov_base) + step;
      part->iov_len -= step;
      n -= static_cast<ssize_t>(step);
      if (part->iov_len == 0) {
        ++part;
        --message.msg_iovlen;
        message.msg_iov = part;
      }
    }
  }
}

}  // namespace carrel::process
