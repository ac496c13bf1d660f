#include "room.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <unordered_map>

#include "box.h"
#include "groups.h"
#include "landlock.h"
#include "root.h"
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
constexpr std::uint64_t kSignalEvent = 1;
// A box that was told to end its program has this long to say how it ended. Then it is
// killed itself, and with it all that would have been said.
constexpr auto kLastWords = std::chrono::seconds(1);

class Room {
 public:
  Room(UniqueFd channel, Blueprint blueprint, Groups groups)
      : channel_(std::move(channel)),
        groups_(std::move(groups)),
        blueprint_(std::move(blueprint)),
        plan_(blueprint_.plan),
        buffer_(64 * 1024) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    watch(channel_.get(), kChannelEvent, EPOLLIN);
    watch(signals_.get(), kSignalEvent, EPOLLIN);
  }

  // A job in a sandbox that looks at it from inside.
  Setback probe() {
    Box* box = take();
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
    const bool heard = recv(box->socket.get(), &reply, sizeof reply, 0) == sizeof reply;
    const pid_t pid = box->pid;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, __WALL);
    forget(pid);
    if (!heard) return {Stage::kNamespaces, ECHILD, {}};
    if (reply.what == Reply::What::kEnded && reply.status == 0) return {};
    if (reply.what == Reply::What::kEnded) return {Stage::kSeccomp, 0, {}};
    return {reply.stage, reply.error, {}};
  }

  const Blueprint& blueprint() const noexcept { return blueprint_; }

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
          hear(static_cast<pid_t>(about - kSignalEvent - 1));
        }
      }
      // After what boxes had to say.
      for (int i = 0; i < count; ++i) {
        if (events[i].data.u64 == kSignalEvent) reap();
      }
      flush();
      overrule();
      // Ahead of jobs only while none is waiting.
      if (!served && short_of_boxes()) make();
    }
  }

 private:
  struct Box {
    pid_t pid = -1;
    UniqueFd socket;
    std::uint64_t run = 0;  // 0: none yet
    bool told = false;      // its end was heard of
    std::string group;      // empty: none
  };

  void watch(int fd, std::uint64_t about, std::uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.u64 = about;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  bool short_of_boxes() const { return idle_.size() < plan_.warm && !spoilt_; }

  int timeout() const {
    if (short_of_boxes()) return 0;
    if (doomed_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(doomed_.front().first -
                                                                   Clock::now());
    return static_cast<int>(std::clamp<long>(left.count(), 0, 60'000));
  }

  // A new box, idle; nullptr, with errno: there is no process or namespace to be had.
  Box* make() {
    process::FdPair pair = process::socket_pair(SOCK_SEQPACKET);
    if (!pair.first) return spoil();
    clone_args args{};
    args.exit_signal = SIGCHLD;
    if (plan_.namespaces) {
      args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
                   CLONE_NEWUTS | CLONE_NEWCGROUP;
    }
    std::string group;
    UniqueFd group_fd;
    if (groups_.on()) {
      group_fd = groups_.make(plan_, group);
      if (!group_fd) return spoil();
      args.flags |= CLONE_INTO_CGROUP;
      args.cgroup = static_cast<std::uint64_t>(group_fd.get());
    }
    const pid_t parent = getpid();
    const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
    if (pid < 0) {
      const int error = errno;
      if (groups_.on()) groups_.remove(group);
      errno = error;
      return spoil();
    }
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      // In a new namespace the parent's number is 0; there its death is seen by the
      // socket.
      if (!plan_.namespaces && getppid() != parent) _exit(127);
      begin_box(std::move(pair.second));
    }
    watch(pair.first.get(), kSignalEvent + 1 + static_cast<std::uint64_t>(pid), EPOLLIN);
    Box& box = boxes_[pid];
    box.pid = pid;
    box.socket = std::move(pair.first);
    box.group = std::move(group);
    idle_.push_back(pid);
    return &box;
  }

  Box* spoil() {
    spoilt_ = true;  // until a job asks again
    return nullptr;
  }

  [[noreturn]] void begin_box(UniqueFd socket) {
    // Nothing of the room stays open, above all not the channel and other boxes.
    constexpr int kSocket = 3;
    if (socket.get() != kSocket) {
      dup3(socket.get(), kSocket, O_CLOEXEC);
      (void)socket.release();
      socket.reset(kSocket);
    }
    close_range(kSocket + 1, ~0U, 0);
    for (const int out : {STDOUT_FILENO, STDERR_FILENO}) dup2(STDIN_FILENO, out);
    setsid();
    prctl(PR_SET_NAME, "carrel-box");
    run_box(blueprint_, std::move(socket));
  }

  Box* take() {
    spoilt_ = false;
    if (idle_.empty() && make() == nullptr) return nullptr;
    Box& box = boxes_[idle_.front()];
    idle_.pop_front();
    return &box;
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
    Box* box = take();
    if (box == nullptr) return refuse(head.run, errno);
    message_.clear();
    Writer(message_).put(head);
    message_.append(body);
    const int error = process::send_message(box->socket.get(), message_, fds);
    if (error == 0) {
      box->run = head.run;
      runs_[head.run] = box->pid;
      return;
    }
    // It died while it was idle; when it is reaped it counts for nothing.
    kill(box->pid, SIGKILL);
    refuse(head.run, error == EPIPE ? EAGAIN : error);
  }

  void refuse(std::uint64_t run, int error) {
    replies_.push_back({.run = run, .what = Reply::What::kNotForked, .error = error});
  }

  void signal_run(const RequestHead& head) {
    const auto it = runs_.find(head.run);
    if (it == runs_.end()) return;  // it has ended
    Box& box = boxes_[it->second];
    const Order order = head.signal == SIGKILL ? Order::kKill
                        : head.group           ? Order::kTerminateAll
                                               : Order::kTerminate;
    const char byte = static_cast<char>(order);
    process::send_message(box.socket.get(), {&byte, 1}, {});
    if (order == Order::kKill) doomed_.emplace_back(Clock::now() + kLastWords, head.run);
  }

  void overrule() {
    while (!doomed_.empty() && doomed_.front().first <= Clock::now()) {
      const auto it = runs_.find(doomed_.front().second);
      if (it != runs_.end()) kill(it->second, SIGKILL);
      doomed_.pop_front();
    }
  }

  void hear(pid_t pid) {
    const auto it = boxes_.find(pid);
    if (it == boxes_.end()) return;
    Box& box = it->second;
    Reply reply;
    const ssize_t n = recv(box.socket.get(), &reply, sizeof reply, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    box.socket.reset();  // also out of epoll; the rest is told when it is reaped
    if (n == sizeof reply) tell(box, reply);
  }

  void tell(Box& box, Reply reply) {
    if (box.run == 0 || box.told) return;
    box.told = true;
    if (!box.group.empty() && reply.what == Reply::What::kEnded) {
      const auto account = groups_.account(box.group);
      reply.cpu_us = std::max(reply.cpu_us, account.cpu_us);
      reply.max_rss_kib = std::max(reply.max_rss_kib, account.peak_kib);
      if (account.out_of_memory && WIFSIGNALED(reply.status)) {
        reply.force |= Reply::kMemory;
      }
    }
    reply.run = box.run;
    replies_.push_back(reply);
    runs_.erase(box.run);
  }

  void reap() {
    signalfd_siginfo info[4];
    while (read(signals_.get(), info, sizeof info) > 0) {
    }
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
      const auto it = boxes_.find(pid);
      if (it == boxes_.end()) continue;
      // Its last words may still be in its socket.
      if (it->second.socket && it->second.run != 0) hear(pid);
      if (it->second.run == 0) spoilt_ = true;
      // The box itself was killed; its program went with it.
      Reply reply;
      reply.status = SIGKILL;
      tell(it->second, reply);
      forget(pid);
    }
  }

  void forget(pid_t pid) {
    const auto it = boxes_.find(pid);
    if (it == boxes_.end()) return;
    if (!it->second.group.empty()) groups_.remove(it->second.group);
    boxes_.erase(it);
    std::erase(idle_, pid);
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
    for (auto& [pid, box] : boxes_) {
      // Boxes without namespaces have something to kill and to remove themselves, when
      // they see the end of their sockets.
      if (plan_.namespaces) kill(pid, SIGKILL);
      box.socket.reset();
    }
    while (!boxes_.empty()) {
      const pid_t pid = waitpid(-1, nullptr, __WALL);
      if (pid > 0) forget(pid);
      if (pid < 0 && errno != EINTR) break;
    }
    _exit(0);
  }

  UniqueFd channel_;
  UniqueFd signals_;
  UniqueFd epoll_;
  const Groups groups_;
  const Blueprint blueprint_;
  const Plan& plan_;
  std::vector<char> buffer_;
  std::string message_;
  std::unordered_map<pid_t, Box> boxes_;
  std::unordered_map<std::uint64_t, pid_t> runs_;
  std::deque<pid_t> idle_;
  std::deque<std::pair<Clock::time_point, std::uint64_t>> doomed_;
  std::vector<Reply> replies_;
  bool stuck_ = false;
  bool spoilt_ = false;  // making boxes ahead failed
};

std::vector<std::string> enforced(const Blueprint& blueprint, bool grouped) {
  const Plan& plan = blueprint.plan;
  std::vector<std::string> all;
  if (plan.namespaces) all.insert(all.end(), {"namespaces", "root"});
  if (plan.own_network) all.emplace_back("no_network");
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
  if (setback.stage == Stage::kNone && plan.namespaces) setback = move_in(*blueprint);
  // A change of user has undone both.
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != server) _exit(1);
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

std::string encode(const Greeting& greeting) {
  std::string out;
  Writer writer(out);
  writer.put(greeting.stage);
  writer.put(greeting.error);
  writer.put_text(greeting.what);
  writer.put(static_cast<std::uint32_t>(greeting.enforced.size()));
  for (const auto& name : greeting.enforced) writer.put_text(name);
  return out;
}

std::optional<Greeting> decode_greeting(std::string_view in) {
  Reader reader(in);
  Greeting greeting;
  greeting.stage = reader.get<Stage>();
  greeting.error = reader.get<int>();
  greeting.what = reader.get_text();
  const auto count = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    greeting.enforced.emplace_back(reader.get_text());
  }
  if (!reader.whole()) return std::nullopt;
  return greeting;
}

}  // namespace carrel::sandbox
