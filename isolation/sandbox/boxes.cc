#include "boxes.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "box.h"

namespace carrel::sandbox {

using process::UniqueFd;

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
    begin(std::move(pair.second));
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<std::uint64_t>(pid);
  epoll_ctl(epoll_, EPOLL_CTL_ADD, pair.first.get(), &event);
  RoomBox& box = boxes_[pid];
  box.pid = pid;
  box.socket = std::move(pair.first);
  box.group = std::move(group);
  idle_.push_back(pid);
  return &box;
}

RoomBox* Boxes::fail() {
  spoil();
  return nullptr;
}

void Boxes::begin(UniqueFd socket) const {
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
  while (!boxes_.empty()) {
    const pid_t pid = waitpid(-1, nullptr, __WALL);
    if (pid > 0) forget(pid);
    if (pid < 0 && errno != EINTR) break;
  }
}

}  // namespace carrel::sandbox
