#include "fork_child.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "frame.h"
#include "os.h"
#include "outcome.h"
#include "wire.h"

namespace carrel::process {
namespace {

using Steady = std::chrono::steady_clock;

// Lets a burst through, then ten a second: a loop that reports every step costs next to
// nothing, and one that reports now and then is never held back.
class Throttle {
 public:
  bool pass() {
    const auto now = Steady::now();
    const double earned = std::chrono::duration<double>(now - last_).count() * kPerSecond;
    last_ = now;
    tokens_ = std::min(kBurst, tokens_ + earned);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  static constexpr double kPerSecond = 10;
  static constexpr double kBurst = 16;
  double tokens_ = kBurst;
  Steady::time_point last_ = Steady::now();
};

class Pipe final : public ContextSink {
 public:
  Pipe(int socket, std::uint64_t bound) : socket_(socket), bound_(bound) {}

  void progress(float fraction, std::string_view message) override {
    fraction = std::isnan(fraction) ? 0 : std::clamp(fraction, 0.0F, 1.0F);
    if (throttle_.pass()) {
      held_ = false;
      send(FrameType::kProgress, encode_progress(fraction, message));
      return;
    }
    held_ = true;
    held_fraction_ = fraction;
    held_message_.assign(cut_text(message, kMaxProgressText));
  }

  void checkpoint(std::string_view bytes) override {
    if (bytes.size() > bound_) {
      throw std::length_error("the checkpoint has " + std::to_string(bytes.size()) +
                              " bytes; its limit is " + std::to_string(bound_));
    }
    send(FrameType::kCheckpoint, bytes);
  }

  void log(std::string_view line) override {
    send(FrameType::kLog, cut_text(line, kMaxLogLine));
  }

  bool stopping() override {
    if (stopped_.load()) return true;
    std::lock_guard lock(mutex_);
    if (listening_) return stopped_.load();
    char reason;
    if (recv(socket_, &reason, 1, MSG_DONTWAIT) == 1) stopped_ = true;
    return stopped_.load();
  }

  std::stop_token stop() override {
    const bool now = stopping();
    std::lock_guard lock(mutex_);
    if (!source_.stop_possible()) source_ = std::stop_source();
    if (now) {
      source_.request_stop();
    } else if (!listening_) {
      listening_ = true;
      std::thread([this] { listen(); }).detach();
    }
    return source_.get_token();
  }

  void finish(const Outcome& outcome) {
    if (held_) send(FrameType::kProgress, encode_progress(held_fraction_, held_message_));
    if (outcome.klass == OutcomeClass::kOk) {
      send(FrameType::kResult, outcome.result);
    } else {
      send(FrameType::kError, encode_error(outcome.error));
    }
  }

 private:
  void listen() {
    char reason;
    ssize_t n;
    do {
      n = recv(socket_, &reason, 1, 0);
    } while (n < 0 && errno == EINTR);
    if (n != 1) return;
    stopped_ = true;
    source_.request_stop();
  }

  void send(FrameType type, std::string_view body) {
    const std::string header = encode_frame_header(type, body.size());
    iovec parts[2] = {{const_cast<char*>(header.data()), header.size()},
                      {const_cast<char*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    std::size_t left = header.size() + body.size();
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

  const int socket_;
  const std::uint64_t bound_;
  Throttle throttle_;
  bool held_ = false;
  float held_fraction_ = 0;
  std::string held_message_;
  std::mutex mutex_;
  std::atomic<bool> stopped_{false};
  bool listening_ = false;
  std::stop_source source_{std::nostopstate};
};

}  // namespace

namespace {

// All of a forked child's work but its end.
void perform(const Handlers& handlers, std::string_view body, int socket) {
  ForkJob job;
  Reader in(body);
  if (!decode(in, job)) _exit(125);  // cannot be: the host encoded it
  Pipe pipe(socket, job.result_bytes);
  const Handler* handler = handlers.find(job.job.kind);
  if (handler == nullptr) {
    Outcome unknown;
    unknown.klass = OutcomeClass::kFailed;
    unknown.error = {
        Code::kInvalid,
        "the process server has no handler for the kind \"" + job.job.kind + "\"",
        "fork"};
    pipe.finish(unknown);
    return;
  }
  Context context(job.job, pipe, job.deadline);
  pipe.finish(outcome_of(invoke(*handler, context), job.result_bytes, std::nullopt));
  // What the handler printed is its own; other streams belong to the host.
  std::fflush(stdout);
  std::fflush(stderr);
}

}  // namespace

void rehearse() {
  int signal = 0;
  prctl(PR_GET_PDEATHSIG, &signal);
  getppid();
  close_range(~0U, ~0U, 0);
  const FdPair ends = socket_pair(SOCK_STREAM);
  if (!ends.first) return;
  Handlers handlers;
  handlers.handle("rehearsal", [](Context& job) {
    job.progress(0.5F, "half");
    return job.args();
  });
  Claimed job;
  job.kind = "rehearsal";
  job.payload = R"({"a": ["b", 1, 2.5, null, true]})";
  std::string body;
  Writer writer(body);
  encode(writer, job, std::chrono::steady_clock::now(), 1 << 20);
  perform(handlers, body, ends.first.get());
}

void run_forked_job(const Handlers& handlers, std::string_view body,
                    int socket) noexcept {
  perform(handlers, body, socket);
  // An address that is taken was bound when the program was loaded; a plain call would
  // send every child to the dynamic linker once more.
  void (*const volatile leave)(int) = _exit;
  leave(0);
  __builtin_unreachable();
}

}  // namespace carrel::process
