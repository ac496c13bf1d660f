#include "fork_child.h"

#include <poll.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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
    if (last_) {
      const std::chrono::duration<double> since = now - *last_;
      tokens_ = std::min(kBurst, tokens_ + since.count() * kPerSecond);
    }
    last_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  static constexpr double kPerSecond = 10;
  static constexpr double kBurst = 16;
  double tokens_ = kBurst;
  std::optional<Steady::time_point> last_;
};

class Pipe final : public ContextSink {
 public:
  // `stopped`: the job was asked to stop before it began.
  Pipe(int socket, std::uint64_t run, std::uint64_t bound, bool stopped)
      : socket_(socket), run_(run), bound_(bound), stopped_(stopped) {}
  // Another job of this child must find no thread that reads its socket.
  ~Pipe() override {
    if (!listener_.joinable()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof one);
    listener_.join();
  }

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
    if (!listener_.joinable()) hear(MSG_DONTWAIT);
    return stopped_.load();
  }

  std::stop_token stop() override {
    const bool now = stopping();
    std::lock_guard lock(mutex_);
    if (!source_.stop_possible()) source_ = std::stop_source();
    if (now) {
      source_.request_stop();
    } else if (!listener_.joinable()) {
      wake_.reset(eventfd(0, EFD_CLOEXEC));
      listener_ = std::thread([this] { listen(); });
    }
    return source_.get_token();
  }

  // `done`: what it used, if its end need not be waited for.
  void finish(const Outcome& outcome, const std::optional<DoneNote>& done) {
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

 private:
  // False: nothing came, or nothing will.
  bool hear(int flags) {
    JobHead note;
    ssize_t n;
    do {
      n = recv(socket_, &note, sizeof note, flags);
    } while (n < 0 && errno == EINTR);
    if (n != sizeof note) return false;
    if (note.what == JobHead::What::kStop && note.run == run_) stopped_ = true;
    return true;
  }

  void listen() {
    pollfd polled[2] = {{socket_, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    while (!stopped_) {
      if (poll(polled, 2, -1) < 0) continue;
      if (polled[1].revents != 0 || !hear(MSG_DONTWAIT)) return;
    }
    source_.request_stop();
  }

  void send(FrameType type, std::string_view body, std::string_view then = {}) {
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

  const int socket_;
  const std::uint64_t run_;
  const std::uint64_t bound_;
  Throttle throttle_;
  bool held_ = false;
  float held_fraction_ = 0;
  std::string held_message_;
  std::mutex mutex_;
  std::atomic<bool> stopped_;
  std::stop_source source_{std::nostopstate};
  UniqueFd wake_;
  std::thread listener_;
};

// The host's words on a child's socket: jobs, and stop notes that may come late.
class Inbox {
 public:
  explicit Inbox(int socket) : socket_(socket) {}

  struct Next {
    JobHead head;
    std::string_view body;  // until the next call
    bool stopped = false;   // a note to stop it came with it
  };
  // Blocks for the next job. False: the host has closed its end.
  bool next(Next& out) {
    for (;;) {
      JobHead head;
      if (size_ < sizeof head) {
        if (!fill()) return false;
        continue;
      }
      std::memcpy(&head, buffer_.data(), sizeof head);
      if (head.what == JobHead::What::kStop) {  // for a job that has ended
        drop(sizeof head);
        continue;
      }
      const std::size_t whole = sizeof head + head.bytes;
      if (whole > buffer_.size()) return false;  // cannot be: the host bounds it
      if (size_ < whole) {
        if (!fill()) return false;
        continue;
      }
      out.head = head;
      out.body = {buffer_.data() + sizeof head, head.bytes};
      if (head.in_file) {
        if (!read_memory_file(file_.get(), text_)) return false;
        file_.reset();
        out.body = text_;
      }
      // Nothing but its stop can follow it yet.
      out.stopped = size_ >= whole + sizeof head;
      size_ = 0;
      return true;
    }
  }

 private:
  void drop(std::size_t bytes) {
    size_ -= bytes;
    std::memmove(buffer_.data(), buffer_.data() + bytes, size_);
  }

  bool fill() {
    receive_message(socket_, std::span(buffer_).subspan(size_), received_, true);
    for (std::size_t i = 0; i < received_.fd_count; ++i) file_.reset(received_.fds[i]);
    if (received_.size > 0) size_ += static_cast<std::size_t>(received_.size);
    return received_.size > 0;
  }

  const int socket_;
  std::array<char, kMaxInline + 2 * sizeof(JobHead)> buffer_;
  std::size_t size_ = 0;
  std::string text_;  // of a body that came in a file
  UniqueFd file_;
  Received received_;
};

// Whether it ever had a child of its own: if so, its end is to be waited for, since what
// is left of them is killed then.
bool had_children() {
  siginfo_t info;
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0) return true;
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  if (usage.ru_minflt != 0) return true;
  // Where ends are ignored, nothing is left of a child that has ended.
  struct sigaction action {};
  sigaction(SIGCHLD, nullptr, &action);
  return action.sa_handler != SIG_DFL || (action.sa_flags & SA_NOCLDWAIT) != 0;
}

std::uint64_t microseconds(const timeval& t) {
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(t.tv_usec);
}

// Of this process and of the children that it waited for, since it was born.
DoneNote used_so_far() {
  DoneNote note;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    note.cpu_us += microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    note.max_rss_kib =
        std::max(note.max_rss_kib, static_cast<std::uint64_t>(usage.ru_maxrss));
  }
  return note;
}

class Child {
 public:
  Child(const Handlers& handlers, int socket)
      : handlers_(handlers), socket_(socket), inbox_(socket) {}

  // What the host wants done in each child before it has a job. A failure is the
  // answer to its first job: nobody listens yet.
  void prepare() {
    try {
      for (const auto& hook : handlers_.after_fork_hooks()) hook();
    } catch (const std::exception& e) {
      unprepared_ = std::string("an after_fork_child hook failed: ") + e.what();
    } catch (...) {
      unprepared_ =
          "an after_fork_child hook failed with something that is no std::exception";
    }
  }

  // False: no other job is to follow.
  bool serve() {
    Inbox::Next next;
    if (!inbox_.next(next)) return false;
    if (next.head.again && !base_) base_ = used_so_far();
    ForkJob job;
    Reader in(next.body);
    if (!decode(in, job)) _exit(125);  // cannot be: the host encoded it
    Pipe pipe(socket_, next.head.run, job.result_bytes, next.stopped);
    const Outcome outcome = perform(job, pipe);
    // What the handler printed is its own; other streams belong to the host.
    for (std::FILE* stream : {stdout, stderr}) {
      if (__fpending(stream) > 0) std::fflush(stream);  // a look costs no page of its own
    }
    const auto done = account(next.head);
    pipe.finish(outcome, done);
    return next.head.again && done;
  }

  // Touches what a job will: the pages are its own by then.
  void make_ready() {
    const Handler handler = [](Context& job) { return job.args(); };
    ForkJob job;
    job.job.payload = R"({"a": ["b", 1, 2.5, null, true]})";
    Pipe pipe(socket_, 0, 1024, false);
    Context context(job.job, pipe);
    outcome_of(invoke(handler, context), 1024, std::nullopt);
  }

 private:
  Outcome perform(const ForkJob& job, Pipe& pipe) {
    if (!unprepared_.empty()) {
      return failure(OutcomeClass::kFailed, {Code::kFailed, unprepared_, "fork"});
    }
    const Handler* handler = handlers_.find(job.job.kind);
    if (handler == nullptr) {
      return failure(
          OutcomeClass::kFailed,
          {Code::kInvalid,
           "the process server has no handler for the kind \"" + job.job.kind + "\"",
           "fork"});
    }
    Context context(job.job, pipe, job.deadline);
    return outcome_of(invoke(*handler, context), job.result_bytes, std::nullopt);
  }

  // Nothing: its end says more, or it has grown too large for another job.
  std::optional<DoneNote> account(const JobHead& head) {
    if (!head.again && had_children()) return {};
    const DoneNote now = used_so_far();
    if (!base_) return now;
    if (head.again && (now.max_rss_kib - base_->max_rss_kib) * 1024 > head.most_memory)
      return {};
    return DoneNote{now.cpu_us - std::exchange(base_->cpu_us, now.cpu_us),
                    now.max_rss_kib};
  }

  const Handlers& handlers_;
  const int socket_;
  Inbox inbox_;
  std::string unprepared_;
  std::optional<DoneNote> base_;  // before the first job, and what they have used since
};

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
  JobHead head;
  std::string body;
  Writer writer(body);
  encode(writer, job, std::chrono::steady_clock::now(), 1 << 20);
  head.bytes = static_cast<std::uint32_t>(body.size());
  body.insert(0, reinterpret_cast<const char*>(&head), sizeof head);
  if (send_message(ends.second.get(), body, {}) != 0) return;
  Child(handlers, ends.first.get()).serve();
}

void run_forked_child(const Handlers& handlers, int socket, bool early) noexcept {
  {
    Child child(handlers, socket);
    child.prepare();
    if (early) child.make_ready();
    while (child.serve()) {
    }
  }
  // An address that is taken was bound when the program was loaded; a plain call would
  // send every child to the dynamic linker once more.
  void (*const volatile leave)(int) = _exit;
  leave(0);
  __builtin_unreachable();
}

}  // namespace carrel::process
