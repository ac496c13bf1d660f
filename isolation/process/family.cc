#include "family.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace carrel::process {
namespace {

constexpr auto kRoomLinger = std::chrono::seconds(10);

UniqueFd child_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int ms_until(std::chrono::steady_clock::time_point time) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      time - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<long>(left.count(), 0, 60'000));
}

// It may not lead its group yet.
void signal_group(pid_t leader, int number) {
  if (::kill(-leader, number) != 0) ::kill(leader, number);
}

}  // namespace

Family::Family() : signals_(child_signals()) {}

void Family::adopt(pid_t pid, const Child& child) {
  children_[pid] = child;
  leaders_[child.run] = pid;
}

void Family::adopt_room(pid_t pid) { rooms_.insert(pid); }

bool Family::signal(const RequestHead& head) {
  const auto it = leaders_.find(head.run);
  if (it == leaders_.end()) {
    return end_linger([&](const Child& child) { return child.run == head.run; });
  }
  const pid_t pid = it->second;
  Child& child = children_[pid];
  child.signalled = true;
  if (head.signal == SIGKILL) child.killed = true;
  if (head.group) {
    signal_group(pid, head.signal);
  } else {
    kill(pid, head.signal);
  }
  return true;
}

void Family::kill_those_of(std::uint32_t client) {
  for (auto& [pid, child] : children_) {
    if (child.client != client) continue;
    child.killed = true;
    signal_group(pid, SIGKILL);
  }
  end_linger([&](const Child& child) { return child.client == client; });
}

// Kills what those ended children left behind.
template <class Of>
bool Family::end_linger(Of of) {
  const auto ended = std::erase_if(
      linger_, [&](const auto& session) { return of(session.second.child); });
  if (ended > 0) survey();
  return ended > 0;
}

int Family::linger_ms() const {
  auto first = Clock::time_point::max();
  for (const auto* sessions : {&linger_, &tidying_}) {
    for (const auto& [session, linger] : *sessions) first = std::min(first, linger.until);
  }
  return first == Clock::time_point::max() ? -1 : ms_until(first);
}

std::span<const Family::End> Family::reap() {
  ends_.clear();
  signalfd_siginfo info[4];
  while (read(signals_.get(), info, sizeof info) == sizeof info) {
  }
  bool any = false;
  for (;;) {
    if (!list_.available()) {
      // Without the list, a group can be signalled safely only while its leader is a
      // zombie.
      siginfo_t who{};
      if (waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 ||
          who.si_pid == 0) {
        break;
      }
      if (children_.contains(who.si_pid)) kill(-who.si_pid, SIGKILL);
    }
    int status = 0;
    rusage used{};
    const pid_t pid = wait4(-1, &status, WNOHANG | __WALL, &used);
    if (pid <= 0) break;
    any = true;
    ended(pid, status, used);
  }
  if (any) survey();
  return ends_;
}

void Family::ended(pid_t pid, int status, const rusage& used) {
  const auto it = children_.find(pid);
  if (it == children_.end()) {
    // Else it is something that a job left behind.
    if (rooms_.erase(pid) > 0) tidying_[pid] = {Clock::now() + kRoomLinger, {}};
    return;
  }
  const Child child = it->second;
  children_.erase(it);
  leaders_.erase(child.run);
  if (child.drain_ms > 0 && !child.killed) {
    linger_[pid] = {Clock::now() + std::chrono::milliseconds(child.drain_ms), child};
  }
  Reply reply{.run = child.run, .what = Reply::What::kEnded, .status = status};
  reply.cpu_us = microseconds(used.ru_utime) + microseconds(used.ru_stime);
  reply.max_rss_kib = static_cast<std::uint64_t>(used.ru_maxrss);
  if (child.signalled) reply.force |= Reply::kSignalled;
  ends_.push_back({pid, child, reply});
}

// What is killed together with its leader was not left by it.
void Family::note_leftover(pid_t session, pid_t group) {
  for (End& end : ends_) {
    if (end.leader != session || (end.child.killed && group == session)) continue;
    end.reply.force |= Reply::kLeftovers;
  }
}

void Family::survey() {
  bool lingering = false;
  if (list_.available()) list_.read(listed_);
  for (const pid_t pid : listed_) {
    if (children_.contains(pid) || rooms_.contains(pid)) continue;
    const pid_t session = getsid(pid);
    // Its job is still running; or its room ended after those that have been waited for.
    if (children_.contains(session) || rooms_.contains(session)) continue;
    const pid_t group = getpgid(pid);
    note_leftover(session, group);
    if (before_its_time(linger_, session) || before_its_time(tidying_, session)) {
      lingering = true;
      continue;
    }
    // This process alone can reap it, so neither its pid nor its group is another's yet.
    if (group > 1 && !children_.contains(group)) kill(-group, SIGKILL);
    kill(pid, SIGKILL);
  }
  // What nobody is left of would keep the server awake once it is over.
  const auto over = [&, now = Clock::now()](const auto& each) {
    return !lingering || each.second.until <= now;
  };
  std::erase_if(linger_, over);
  std::erase_if(tidying_, over);
}

bool Family::before_its_time(Lingering& lingering, pid_t session) {
  const auto it = lingering.find(session);
  if (it == lingering.end()) return false;
  if (Clock::now() < it->second.until) return true;
  lingering.erase(it);
  return false;
}

void Family::end() {
  for (auto& [pid, child] : children_) {
    child.killed = true;
    signal_group(pid, SIGKILL);
  }
  linger_.clear();
  const auto rooms_until = Clock::now() + kTidyRooms;
  const auto until = rooms_until + kTidyGroups;
  while (!rooms_.empty() || !tidying_.empty()) {
    const auto now = Clock::now();
    if (now >= until) break;
    if (now >= rooms_until) {
      // Not with their groups, to which belongs what cleans up after them.
      for (const pid_t room : rooms_) kill(room, SIGKILL);
    }
    pollfd ended{signals_.get(), POLLIN, 0};
    poll(&ended, 1, ms_until(now < rooms_until ? rooms_until : until));
    reap();
  }
  kill_all_children(list_);
}

}  // namespace carrel::process
