#include <carrel/config.h>
#include <carrel/fork_to.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <limits>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "child_run.h"
#include "fork_to_child.h"
#include "frame.h"
#include "json_text.h"
#include "os.h"

namespace carrel::detail {
namespace {

using namespace process;
using Clock = std::chrono::steady_clock;

// It is the caller's own value: no bound but what a length can say.
constexpr FrameBounds kBounds{std::numeric_limits<std::uint32_t>::max(), 0};

// In the parent, of a child that has not been told to go. A copy of the socket that
// another child of the host has does not keep it.
void call_off(pid_t pid, int socket) {
  ::shutdown(socket, SHUT_RDWR);
  while (waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

// The parent's hold on its child. Kills it, unless it has ended, and what it left in its
// group.
class Held {
 public:
  Held(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  ~Held() {
    if (!ended_) kill();
    end();
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  int pidfd() const { return pidfd_.get(); }
  void kill() const {
    if (!kill_group()) syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  }
  // Blocks until it has ended. Empty: somebody else in the host has waited for it, or
  // nobody is to.
  std::optional<siginfo_t> end() {
    if (ended_) return info_;
    ended_ = true;
    siginfo_t info{};
    const auto id = static_cast<id_t>(pidfd_.get());
    int waited;
    do {
      waited = waitid(P_PIDFD, id, &info, WEXITED | WNOWAIT | __WALL);
    } while (waited < 0 && errno == EINTR);
    if (waited != 0) {
      kill_group();
      return info_;
    }
    // Before Linux 6.9: while it is a zombie its number is no other group's.
    if (!kill_group() && errno == EINVAL) ::kill(-pid_, SIGKILL);
    if (waitid(P_PIDFD, id, &info, WEXITED | __WALL) == 0) info_ = info;
    return info_;
  }

 private:
  // By the pidfd, so that its number may be another's by now. False: the kernel cannot,
  // or there is none.
  bool kill_group() const {
    constexpr unsigned kProcessGroup = 1U << 2;  // PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
    return syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr,
                   kProcessGroup) == 0;
  }

  const pid_t pid_;
  UniqueFd pidfd_;
  bool ended_ = false;
  std::optional<siginfo_t> info_;
};

int left_ms(std::optional<Clock::time_point> deadline) {
  if (!deadline) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::now());
  return static_cast<int>(
      std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

// It is the beginning of one answer, or all of it.
bool may_be_answer(std::string_view words) {
  const FrameStep frame = parse_frame(words, kBounds);
  return frame.kind == FrameStep::Kind::kMore ||
         (frame.kind == FrameStep::Kind::kFrame && frame.used == words.size());
}

enum class Said : std::uint8_t { kSoFar, kAll, kNoAnswer };

// What is there, without blocking; of what is no answer, little more than shows it.
Said read_into(std::string& words, int socket) {
  std::vector<char> buffer(64 * 1024);
  for (;;) {
    const ssize_t n = recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return Said::kSoFar;
    if (n <= 0) return Said::kAll;
    words.append(buffer.data(), static_cast<std::size_t>(n));
    if (!may_be_answer(words)) return Said::kNoAnswer;
  }
}

// 0: it ended by itself. ETIME: not in time. EBADMSG: what it says is no answer. Else:
// why it cannot be waited for. What it said by then is in `words`.
int hear(const Held& child, int socket, std::optional<Clock::time_point> deadline,
         std::string& words) {
  bool open = true;
  for (;;) {
    pollfd polled[2] = {{child.pidfd(), POLLIN, 0}, {open ? socket : -1, POLLIN, 0}};
    const int ready = poll(polled, 2, left_ms(deadline));
    if (ready < 0 && errno != EINTR) return errno;
    if (ready < 0) continue;
    if (ready == 0) {
      if (left_ms(deadline) > 0) continue;  // poll() takes 24 days at the most
      return ETIME;
    }
    if (open && (polled[0].revents | polled[1].revents) != 0) {
      const Said said = read_into(words, socket);
      if (said == Said::kNoAnswer) return EBADMSG;
      open = said == Said::kSoFar;
    }
    if (polled[0].revents != 0) return 0;
  }
}

Result<Json> conclude(const std::string& words, const std::optional<siginfo_t>& end) {
  const FrameStep frame = parse_frame(words, kBounds);
  if (frame.kind == FrameStep::Kind::kFrame && frame.used == words.size()) {
    if (frame.type == FrameType::kResult) {
      Json value = json_from_text(frame.body);
      if (!value.is_discarded()) return value;
    }
    if (frame.type == FrameType::kError) {
      if (auto error = decode_error(frame.body)) return tl::unexpected<Error>(*error);
    }
  }
  if (frame.kind == FrameStep::Kind::kTooLarge) {
    return fail(Code::kTooLarge,
                "its answer has more than " + std::to_string(kBounds.result) + " bytes",
                "fork_to");
  }
  if (!may_be_answer(words)) {
    const bool broken = frame.kind == FrameStep::Kind::kBroken;
    return fail(Code::kFailed,
                std::string("its process sent ") +
                    (broken ? frame.why : "bytes after its answer"),
                "fork_to");
  }
  Error error{Code::kFailed, "its process ended without a whole answer", "fork_to"};
  if (end && end->si_code != CLD_EXITED) {
    error.message = "its process died: " + signal_text(end->si_status);
    error.native = end->si_status;
  }
  return tl::unexpected<Error>(std::move(error));
}

// Of one that has ended by then, or is to be killed. Throws std::bad_alloc.
Result<Json> answer_from(Held& child, int socket,
                         std::optional<Clock::time_point> deadline, Duration timeout) {
  std::string words;
  if (const int error = hear(child, socket, deadline, words)) {
    if (error == EBADMSG) return conclude(words, std::nullopt);
    if (error != ETIME) {
      return os_error(Code::kUnavailable, "fork_to cannot wait", error);
    }
    return fail(Code::kTimeout, "fork_to: no answer within " + to_text(timeout),
                "fork_to");
  }
  const auto end = child.end();
  return conclude(words, end);
}

}  // namespace

Result<Json> fork_and_call(Duration timeout, const std::function<Result<Json>()>& fn,
                           const ForkHooks& hooks) {
  if (timeout.count() < 0) {
    return fail(Code::kTimeout, "fork_to: no time is left for it", "fork_to");
  }
  std::optional<Clock::time_point> deadline;
  if (timeout.count() > 0) {
    deadline = Clock::now() + std::min<Duration>(timeout, std::chrono::hours(24 * 365));
  }
  FdPair ends = socket_pair(SOCK_STREAM);
  if (!ends.first) return os_error(Code::kUnavailable, "no socket for fork_to", errno);
  const pid_t self = getpid();
  pid_t pid = -1;
  int error = 0;
  {
    const SignalsBlocked blocked;
    if (hooks.before) hooks.before();
    pid = fork();
    if (pid == 0) be_child_of_fork_to(self, ends.second.get(), fn, hooks);
    error = errno;
    try {
      if (hooks.in_parent) hooks.in_parent();
    } catch (...) {
      if (pid > 0) call_off(pid, ends.first.get());
      throw;
    }
  }
  if (pid < 0) return os_error(Code::kUnavailable, "no process for fork_to", error);
  ends.second.reset();
  UniqueFd pidfd =
      above_stdio(UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))));
  if (!pidfd) {
    error = errno;
    call_off(pid, ends.first.get());
    return os_error(Code::kUnavailable, "no pidfd for fork_to", error);
  }
  send_all(ends.first.get(), "g");
  try {
    Held child(pid, std::move(pidfd));
    return answer_from(child, ends.first.get(), deadline, timeout);
  } catch (const std::bad_alloc&) {
    return os_error(Code::kUnavailable, "no memory for the answer of fork_to", ENOMEM);
  }
}

}  // namespace carrel::detail
