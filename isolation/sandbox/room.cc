#include "room.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <unordered_map>

#include "box.h"
#include "boxes.h"
#include "greeting.h"
#include "groups.h"
#include "landlock.h"
#include "remove_tree.h"
#include "root.h"
#include "tree_clock.h"
#include "user_map.h"

namespace carrel::sandbox {
namespace {

using process::Ask;
using process::Reader;
using process::Reply;
using process::RequestHead;
using process::UniqueFd;
using process::Writer;
using Stage = Reply::Stage;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kChannelEvent = 0;
constexpr std::uint64_t kSignalEvent = ~0ULL;  // all others are boxes, by their pids
// A box that was told to end its program has this long to say how it ended. Then it is
// killed itself, and with it all that would have been said.
constexpr auto kLastWords = std::chrono::seconds(1);

class Room {
 public:
  Room(UniqueFd channel, Blueprint blueprint, Groups groups)
      : channel_(std::move(channel)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        boxes_(std::move(blueprint), std::move(groups), epoll_.get()),
        buffer_(64 * 1024) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    watch(channel_.get(), kChannelEvent, EPOLLIN);
    watch(signals_.get(), kSignalEvent, EPOLLIN);
  }

  // A job in a sandbox that looks at it from inside.
  Setback probe() {
    RoomBox* box = boxes_.take();
    if (box == nullptr) return {Stage::kNamespaces, errno, {}};
    RequestHead head;
    std::string bytes;
    Writer(bytes).put(head);
    if (process::send_message(box->socket.get(), bytes, {}) != 0) {
      return {Stage::kNamespaces, EPIPE, {}};
    }
    pollfd answered{box->socket.get(), POLLIN, 0};
    while (poll(&answered, 1, -1) < 0 && errno == EINTR) {
    }
    Reply reply;
    ssize_t n;
    do {
      n = recv(box->socket.get(), &reply, sizeof reply, 0);
    } while (n == sizeof kClearing);
    const bool heard = n == sizeof reply;
    const pid_t pid = box->pid;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, __WALL);
    if (!heard) remove_tree(box->folder);  // else it has done that
    boxes_.forget(pid);
    if (!heard) return {Stage::kNamespaces, ECHILD, {}};
    if (reply.what == Reply::What::kEnded && reply.status == 0) return {};
    if (reply.what == Reply::What::kEnded) return {Stage::kSeccomp, 0, {}};
    return {reply.stage, reply.error, {}};
  }

  const Blueprint& blueprint() const noexcept { return boxes_.blueprint(); }

  [[noreturn]] void run() {
    std::array<epoll_event, 64> events;
    for (;;) {
      const int count = epoll_wait(epoll_.get(), events.data(), events.size(), timeout());
      bool served = false;
      for (int i = 0; i < count; ++i) {
        const std::uint64_t about = events[i].data.u64;
        if (about == kChannelEvent) {
          if ((events[i].events & EPOLLOUT) != 0) set_stuck(false);
          if ((events[i].events & ~EPOLLOUT) != 0) serve();
          served = true;
        } else if (about != kSignalEvent) {
          hear(static_cast<pid_t>(about));
        }
      }
      // After what boxes had to say.
      for (int i = 0; i < count; ++i) {
        if (events[i].data.u64 == kSignalEvent) reap();
      }
      flush();
      overrule();
      // Ahead of jobs only while none is waiting.
      if (!served && is_short()) boxes_.make();
    }
  }

 private:
  void watch(int fd, std::uint64_t about, std::uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.u64 = about;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  bool is_short() const { return boxes_.is_short(!runs_.empty()); }

  int timeout() const {
    if (is_short()) return 0;
    if (doomed_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(doomed_.front().first -
                                                                   Clock::now());
    return static_cast<int>(std::clamp<long>(left.count(), 0, 60'000));
  }

  void serve() {
    static process::Received received;
    process::receive_message(channel_.get(), buffer_, received);
    if (received.size < 0 && received.error == EAGAIN) return;
    if (received.size <= 0) end_all();
    std::size_t next_fd = 0;
    Reader in({buffer_.data(), static_cast<std::size_t>(received.size)});
    while (!in.done()) {
      const auto head = in.get<RequestHead>();
      const std::string_view body = in.get_bytes(head.inline_bytes);
      if (!in.ok()) break;
      if (head.ask == Ask::kSignal) {
        signal_run(head);
        continue;
      }
      const std::size_t have =
          std::min<std::size_t>(head.fds, received.fd_count - next_fd);
      if (have < head.fds) {
        refuse(head.run, EMFILE);  // the kernel dropped what this process had no room for
      } else {
        spawn(head, body, std::span(received.fds).subspan(next_fd, have));
      }
      for (std::size_t i = 0; i < have; ++i) close(received.fds[next_fd++]);
    }
    while (next_fd < received.fd_count) close(received.fds[next_fd++]);
  }

  void spawn(const RequestHead& head, std::string_view body, std::span<const int> fds) {
    message_.clear();
    Writer(message_).put(head);
    message_.append(body);
    // A box may have died while it was idle, and hear() have seen the end of its socket;
    // when it is reaped it counts for nothing.
    int error = EPIPE;
    for (int tries = 0; tries < 3 && error == EPIPE; ++tries) {
      RoomBox* box = boxes_.take();
      if (box == nullptr) return refuse(head.run, errno);
      if (box->socket) error = process::send_message(box->socket.get(), message_, fds);
      if (error == 0) {
        box->run = head.run;
        runs_[head.run] = box->pid;
        return;
      }
      kill(box->pid, SIGKILL);
    }
    refuse(head.run, error == EPIPE ? EAGAIN : error);
  }

  void refuse(std::uint64_t run, int error) {
    replies_.push_back({.run = run, .what = Reply::What::kNotForked, .error = error});
  }

  void signal_run(const RequestHead& head) {
    const auto it = runs_.find(head.run);
    if (it == runs_.end()) return;  // it has ended
    const Order order = head.signal == SIGKILL ? Order::kKill
                        : head.group           ? Order::kTerminateAll
                                               : Order::kTerminate;
    const char byte = static_cast<char>(order);
    const RoomBox* box = boxes_.find(it->second);
    process::send_message(box->socket.get(), {&byte, 1}, {});
    if (order == Order::kKill) doomed_.emplace_back(Clock::now() + kLastWords, head.run);
  }

  void overrule() {
    while (!doomed_.empty() && doomed_.front().first <= Clock::now()) {
      const auto it = runs_.find(doomed_.front().second);
      if (it != runs_.end() && !boxes_.find(it->second)->clearing) {
        kill(it->second, SIGKILL);
      }
      doomed_.pop_front();
    }
  }

  void hear(pid_t pid) {
    RoomBox* box = boxes_.find(pid);
    if (box == nullptr) return;
    Reply reply;
    ssize_t n;
    while ((n = recv(box->socket.get(), &reply, sizeof reply, MSG_DONTWAIT)) ==
           sizeof kClearing) {
      box->clearing = true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n != sizeof reply) {
      box->socket.reset();  // also out of epoll; the rest is told when it is reaped
      return;
    }
    // The box has spoken, and may wait for who reads its folder: it still sees the end of
    // this socket.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, box->socket.get(), nullptr);
    tell(*box, reply);
  }

  void tell(RoomBox& box, Reply reply) {
    if (box.run == 0 || box.told) return;
    box.told = true;
    if (reply.what == Reply::What::kEnded) boxes_.add_account(box, reply);
    reply.run = box.run;
    replies_.push_back(reply);
    runs_.erase(box.run);
  }

  void reap() {
    signalfd_siginfo info[4];
    if (read(signals_.get(), info, sizeof info) < 0 && errno != EAGAIN) return;
    int status = 0;
    bool left = false;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
      RoomBox* box = boxes_.find(pid);
      if (box == nullptr) {
        boxes_.ended(pid);
        left = true;
        continue;
      }
      // Its last words may still be in its socket.
      if (box->socket && box->run != 0) hear(pid);
      if (box->run == 0) boxes_.spoil();
      // The box itself was killed; its program goes with it.
      if (WIFSIGNALED(status)) {
        boxes_.clear_after(*box);
        left = true;
      }
      Reply reply;
      reply.status = SIGKILL;
      tell(*box, reply);
      boxes_.forget(pid);
    }
    if (left) boxes_.clear_up();
  }

  void flush() {
    constexpr std::size_t kAtOnce = 64;
    while (!replies_.empty() && !stuck_) {
      const std::size_t count = std::min(replies_.size(), kAtOnce);
      const int error = process::send_message(
          channel_.get(),
          {reinterpret_cast<const char*>(replies_.data()), count * sizeof(Reply)}, {});
      if (error == EAGAIN || error == ENOBUFS) {
        set_stuck(true);
      } else if (error != 0) {
        end_all();
      } else {
        replies_.erase(replies_.begin(),
                       replies_.begin() + static_cast<std::ptrdiff_t>(count));
      }
    }
  }

  void set_stuck(bool stuck) {
    if (stuck_ == stuck) return;
    stuck_ = stuck;
    epoll_event event{};
    event.events = stuck ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.u64 = kChannelEvent;
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, channel_.get(), &event);
  }

  // The host has closed its channel, or died.
  [[noreturn]] void end_all() {
    boxes_.end_all();
    _exit(0);
  }

  UniqueFd channel_;
  UniqueFd signals_;
  UniqueFd epoll_;
  Boxes boxes_;
  std::vector<char> buffer_;
  std::string message_;
  std::unordered_map<std::uint64_t, pid_t> runs_;
  std::deque<std::pair<Clock::time_point, std::uint64_t>> doomed_;
  std::vector<Reply> replies_;
  bool stuck_ = false;
};

// The kernel counts the descriptors that are on their way over sockets by user, and sends
// none for who may open fewer. Programs that may open as many as their host could keep it
// from all its jobs; a message of theirs may pass their own bound, several at once.
void bound_open_files(Limits& limits) {
  rlimit hosts{};
  if (getrlimit(RLIMIT_NOFILE, &hosts) != 0) return;
  const std::uint64_t most = hosts.rlim_cur / 2;
  if (limits.open_files == 0 || limits.open_files > most) limits.open_files = most;
}

// A program sees the command line of its sandbox's first process, which is this one's,
// and may be the host's.
void hide_arguments(std::string_view name) {
  const UniqueFd file(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  char buffer[1024];
  const ssize_t n = file ? read(file.get(), buffer, sizeof buffer - 1) : -1;
  if (n <= 0) return;
  buffer[n] = '\0';
  const char* at = std::strrchr(buffer, ')');  // the name may hold anything
  // proc(5): the state is the third, arg_start and arg_end the 48th and 49th.
  for (int field = 2; at != nullptr && field < 48; ++field) at = std::strchr(at + 1, ' ');
  unsigned long begin = 0;
  unsigned long end = 0;
  if (at == nullptr || std::sscanf(at, " %lu %lu", &begin, &end) != 2 || begin >= end) {
    return;
  }
  char* const arguments = reinterpret_cast<char*>(begin);
  std::memset(arguments, 0, end - begin);
  name.copy(arguments, std::min<std::size_t>(name.size(), end - begin - 1));
}

std::vector<std::string> enforced(const Blueprint& blueprint, bool grouped) {
  const Plan& plan = blueprint.plan;
  std::vector<std::string> all;
  if (plan.namespaces) all.insert(all.end(), {"namespaces", "root"});
  if (plan.own_network && (plan.namespaces || !blueprint.filter.empty())) {
    all.emplace_back("no_network");
  }
  if (plan.landlock != Want::kOff && landlock_version() > 0) all.emplace_back("landlock");
  if (!blueprint.filter.empty()) all.emplace_back("seccomp");
  all.insert(all.end(), {"no_new_privs", "limits"});
  if (grouped) all.emplace_back("cgroup");
  if (plan.memory_cgroup != Want::kOff) all.emplace_back("memory_cgroup");
  if (plan.pids_cgroup != Want::kOff) all.emplace_back("pids_cgroup");
  if (plan.cpu_cgroup != Want::kOff) all.emplace_back("cpu_cgroup");
  return all;
}

}  // namespace

void keep_room(UniqueFd channel, std::string_view encoded) {
  prctl(PR_SET_NAME, "carrel-room");
  const pid_t server = getppid();
  Greeting greeting;
  auto blueprint = decode(encoded);
  if (!blueprint) {
    greeting.stage = Stage::kSelfCheck;
    greeting.error = EPROTO;
    process::send_message(channel.get(), encode(greeting), {});
    _exit(1);
  }
  // A server whose host changed its user is not dumpable, and then not even the process
  // itself may write the maps of its namespace. The boxes undo this.
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  Setback setback;
  Groups groups;
  Plan& plan = blueprint->plan;
  setback = groups.open(plan, blueprint->cgroup_parent,
                        may_become(plan.user) ? plan.user : geteuid());
  TreeClock::count_processors();
  if (setback.stage == Stage::kNone && plan.namespaces) setback = move_in(*blueprint);
  // A change of user has undone both.
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != server) _exit(1);
  // What a box without namespaces leaves when it is killed comes here.
  if (!plan.namespaces) prctl(PR_SET_CHILD_SUBREAPER, 1);
  bound_open_files(plan.limits);
  hide_arguments("carrel-room");
  const int talk = channel.get();
  const bool grouped = groups.on();
  Room room(std::move(channel), std::move(*blueprint), std::move(groups));
  if (setback.stage == Stage::kNone) setback = room.probe();
  greeting.stage = setback.stage;
  greeting.error = setback.error;
  greeting.what = setback.what;
  if (setback.stage == Stage::kNone && setback.error != 0) {
    greeting.stage = Stage::kNamespaces;
  }
  greeting.enforced = enforced(room.blueprint(), grouped);
  process::send_message(talk, encode(greeting), {});
  if (greeting.stage != Stage::kNone) _exit(1);
  room.run();
}

}  // namespace carrel::sandbox
