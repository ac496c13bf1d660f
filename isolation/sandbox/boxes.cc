#include "boxes.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "box.h"
#include "children.h"
#include "remove_tree.h"

namespace carrel::sandbox {

using process::UniqueFd;

namespace {

// That nobody can have made before, unless he guesses it; then the box fails to.
std::string new_folder() {
  const char* parent = std::getenv("TMPDIR");
  std::uint64_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) return {};
  std::array<char, 17> name{};
  std::snprintf(name.data(), name.size(), "%016" PRIx64, number);
  return std::string(parent != nullptr && *parent == '/' ? parent : "/tmp") +
         "/carrel-box-" + name.data();
}

}  // namespace

RoomBox* Boxes::make() {
  const Plan& plan = blueprint_.plan;
  process::FdPair pair = process::socket_pair(SOCK_SEQPACKET);
  if (!pair.first) return fail();
  clone_args args{};
  args.exit_signal = SIGCHLD;
  if (plan.namespaces) {
    args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC |
                 CLONE_NEWUTS | CLONE_NEWCGROUP;
  }
  std::string folder;
  if (!plan.namespaces && (folder = new_folder()).empty()) return fail();
  std::string group;
  UniqueFd group_fd;
  if (groups_.on()) {
    group_fd = groups_.make(plan, group);
    if (!group_fd) return fail();
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(group_fd.get());
  }
  const pid_t parent = getpid();
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) {
    const int error = errno;
    if (groups_.on()) groups_.remove(group);
    errno = error;
    return fail();
  }
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // In a new namespace the parent's number is 0; there its death is seen by the
    // socket.
    if (!plan.namespaces && getppid() != parent) _exit(127);
    begin(std::move(pair.second), folder);
  }
  RoomBox& box = boxes_[pid];
  box.pid = pid;
  box.socket = std::move(pair.first);
  box.group = std::move(group);
  box.folder = std::move(folder);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<std::uint64_t>(pid);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, box.socket.get(), &event) != 0) {
    const int error = errno;
    kill(pid, SIGKILL);  // nobody would hear it
    errno = error;
    return fail();
  }
  idle_.push_back(pid);
  return &box;
}

RoomBox* Boxes::fail() {
  spoil();
  return nullptr;
}

void Boxes::begin(UniqueFd socket, const std::string& folder) const {
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
  run_box(blueprint_, std::move(socket), folder);
}

RoomBox* Boxes::take() {
  spoilt_ = false;
  if (idle_.empty() && make() == nullptr) return nullptr;
  RoomBox& box = boxes_[idle_.front()];
  idle_.pop_front();
  return &box;
}

RoomBox* Boxes::find(pid_t pid) {
  const auto it = boxes_.find(pid);
  return it == boxes_.end() ? nullptr : &it->second;
}

void Boxes::add_account(const RoomBox& box, process::Reply& reply) const {
  if (box.group.empty()) return;
  const auto account = groups_.account(box.group);
  reply.cpu_us = std::max(reply.cpu_us, account.cpu_us);
  reply.max_rss_kib = std::max(reply.max_rss_kib, account.peak_kib);
  if (account.out_of_memory && WIFSIGNALED(reply.status)) {
    reply.force |= process::Reply::kMemory;
  }
}

void Boxes::clear_after(const RoomBox& box) {
  if (!box.folder.empty()) left_.push_back(box.folder);
}

void Boxes::ended(pid_t other) { cleaners_.erase(other); }

void Boxes::clear_up() {
  if (blueprint_.plan.namespaces) return;  // the kernel has
  // Orphans come to the room, one generation after the other.
  process::ChildList list;
  std::vector<pid_t> children;
  list.read(children);
  bool some = false;
  for (const pid_t pid : children) {
    if (boxes_.contains(pid) || cleaners_.contains(pid)) continue;
    some = true;
    process::kill_child(pid);
  }
  if (some) return;
  // That takes as long as the programs have made it.
  while (!left_.empty()) {
    const pid_t pid = fork();
    if (pid < 0) return;
    if (pid == 0) {
      close_range(STDERR_FILENO + 1, ~0U, 0);
      remove_tree(left_.back());
      _exit(0);
    }
    cleaners_.insert(pid);
    left_.pop_back();
  }
}

void Boxes::forget(pid_t pid) {
  const auto it = boxes_.find(pid);
  if (it == boxes_.end()) return;
  if (!it->second.group.empty()) groups_.remove(it->second.group);
  boxes_.erase(it);
  std::erase(idle_, pid);
}

void Boxes::end_all() {
  for (auto& [pid, box] : boxes_) {
    // Boxes without namespaces have something to kill and to remove themselves, when they
    // see the end of their sockets.
    if (blueprint_.plan.namespaces) kill(pid, SIGKILL);
    box.socket.reset();
  }
  // Without namespaces until there is no child at all: the process server sees to it that
  // this does not take for ever. Else only the janitor is left, which waits for the room.
  while (!boxes_.empty() || !blueprint_.plan.namespaces) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return;
    if (const RoomBox* box = find(pid)) {
      if (WIFSIGNALED(status)) clear_after(*box);
      forget(pid);
    } else {
      ended(pid);
    }
    if (boxes_.empty()) clear_up();
  }
}

}  // namespace carrel::sandbox
