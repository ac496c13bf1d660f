#include "groups.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace carrel::sandbox {
namespace {

using process::UniqueFd;
using Stage = process::Reply::Stage;

constexpr const char* kFolder = "carrel-";

int write_at(int folder, const std::string& name, const std::string& text) {
  const UniqueFd file(openat(folder, name.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  return write(file.get(), text.data(), text.size()) < 0 ? errno : 0;
}

std::string read_at(int folder, const std::string& name) {
  const UniqueFd file(openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t n = file ? read(file.get(), text, sizeof text) : 0;
  return {text, static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
}

// Of "name value" lines.
std::uint64_t value_of(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  std::string word;
  for (std::uint64_t value = 0; lines >> word >> value;) {
    if (word == name) return value;
  }
  return 0;
}

std::vector<std::string> folders_in(int folder) {
  std::vector<std::string> names;
  const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(copy < 0 ? nullptr : fdopendir(copy),
                                                    closedir);
  if (!entries) return names;
  while (const dirent* entry = readdir(entries.get())) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
      names.emplace_back(entry->d_name);
  }
  return names;
}

// The host's own group: the line "0::/a/b" of its list, below where cgroup v2 is mounted.
std::string own_group() {
  std::ifstream groups("/proc/self/cgroup");
  std::string path;
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::")) path = line.substr(3);
  }
  std::ifstream mounts("/proc/self/mounts");
  std::string device, place, type, rest;
  while (!path.empty() && mounts >> device >> place >> type &&
         std::getline(mounts, rest)) {
    if (type == "cgroup2") return place + (path == "/" ? "" : path);
  }
  return {};
}

// Until no process is in `folder` or below.
void wait_until_empty(int folder) {
  for (;;) {
    const UniqueFd events(openat(folder, "cgroup.events", O_RDONLY | O_CLOEXEC));
    char text[256];
    const ssize_t n = events ? read(events.get(), text, sizeof text) : -1;
    if (n < 0 || value_of({text, static_cast<std::size_t>(n)}, "populated") == 0) return;
    pollfd changed{events.get(), POLLPRI, 0};
    poll(&changed, 1, -1);
  }
}

// Of groups: not of those in which a process is.
void remove_groups(int parent, const std::string& name, int folder) {
  for (const auto& group : folders_in(folder)) {
    unlinkat(folder, group.c_str(), AT_REMOVEDIR);
  }
  struct stat named {};
  struct stat ours {};
  if (fstatat(parent, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      fstat(folder, &ours) != 0 || named.st_ino != ours.st_ino) {
    return;
  }
  unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

// When the room has gone: ends what is left in the groups of `name` and removes them,
// then it.
[[noreturn]] void keep_clean(int parent, const std::string& name, int alive) {
  const auto [first, last] =
      std::minmax({static_cast<unsigned>(parent), static_cast<unsigned>(alive)});
  close_range(3, first - 1, 0);
  close_range(first + 1, last - 1, 0);
  close_range(last + 1, ~0U, 0);
  // Before the room goes: after it another may sweep this folder away and take its name.
  const UniqueFd folder(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  char byte = 0;
  while (read(alive, &byte, 1) < 0 && errno == EINTR) {
  }
  write_at(folder.get(), "cgroup.kill", "1");
  wait_until_empty(folder.get());
  remove_groups(parent, name, folder.get());
  _exit(0);
}

// Of a room: the prefix, then numbers.
bool is_room(const std::string& name) {
  const std::string_view prefix = kFolder;
  return name.size() > prefix.size() && name.starts_with(prefix) &&
         name.find_first_not_of("0123456789-", prefix.size()) == std::string::npos;
}

// Removes what rooms have left that were killed together with what cleans up after them.
// A room holds the lock of its folder for as long as it lives, in whatever namespace.
void sweep(int parent) {
  for (const auto& name : folders_in(parent)) {
    if (!is_room(name)) continue;
    const UniqueFd folder(
        openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder || flock(folder.get(), LOCK_EX | LOCK_NB) != 0) continue;
    remove_groups(parent, name, folder.get());
  }
}

// A folder of its own in `parent`, locked; empty, with errno.
UniqueFd make_folder(int parent, std::string& name) {
  constexpr int kMostTries = 100;
  for (int tries = 1; tries <= kMostTries; ++tries) {
    name = kFolder + std::to_string(getpid());
    // Another namespace has such a process, too.
    if (tries > 1) name += "-" + std::to_string(tries);
    if (mkdirat(parent, name.c_str(), 0755) != 0) {
      if (errno == EEXIST) continue;
      return {};
    }
    UniqueFd folder(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // One that sweeps may have been faster, and removed it.
    if (folder && flock(folder.get(), LOCK_EX) == 0 &&
        faccessat(folder.get(), "cgroup.procs", F_OK, 0) == 0) {
      return folder;
    }
  }
  return {};
}

}  // namespace

bool Groups::enable(const char* controller, int parent) const {
  const std::string plus = std::string("+") + controller;
  write_at(parent, "cgroup.subtree_control", plus);  // it may be on, or not ours to set
  std::istringstream have(read_at(folder_.get(), "cgroup.controllers"));
  for (std::string name; have >> name;) {
    if (name == controller) {
      return write_at(folder_.get(), "cgroup.subtree_control", plus) == 0;
    }
  }
  return false;
}

Setback Groups::open(Plan& plan, const std::string& configured, uid_t owner) {
  if (plan.cgroup == Want::kOff) return {};
  const std::string path = configured.empty() ? own_group() : configured;
  const auto missing = [&](int error) -> Setback {
    folder_.reset();
    if (plan.cgroup == Want::kMust) return {Stage::kCgroup, error, path};
    plan.memory_cgroup = plan.pids_cgroup = plan.cpu_cgroup = Want::kOff;
    return {};
  };
  const UniqueFd parent(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return missing(errno);
  if (read_at(parent.get(), "cgroup.procs").empty() &&
      faccessat(parent.get(), "cgroup.procs", F_OK, 0) != 0) {
    return missing(ENOTSUP);  // a folder, but no group of version 2
  }
  sweep(parent.get());
  std::string name;
  folder_ = make_folder(parent.get(), name);
  if (!folder_) return missing(errno);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return missing(errno);
  UniqueFd seen(ends[0]);
  alive_.reset(ends[1]);
  const pid_t janitor = fork();
  if (janitor < 0) return missing(errno);
  if (janitor == 0) {
    alive_.reset();
    prctl(PR_SET_NAME, "carrel-janitor");
    keep_clean(parent.get(), name, seen.get());
  }
  const struct {
    Want& want;
    const char* controller;
    Stage stage;
  } wanted[] = {{plan.memory_cgroup, "memory", Stage::kMemoryCgroup},
                {plan.pids_cgroup, "pids", Stage::kPidsCgroup},
                {plan.cpu_cgroup, "cpu", Stage::kCpuCgroup}};
  for (const auto& each : wanted) {
    if (each.want == Want::kOff || enable(each.controller, parent.get())) continue;
    if (each.want == Want::kMust) return {each.stage, ENODEV, path};
    each.want = Want::kOff;
  }
  if (mkdirat(folder_.get(), "room", 0755) != 0) return missing(errno);
  if (const int error = write_at(folder_.get(), "room/cgroup.procs", "0")) {
    return missing(error);
  }
  if (owner == geteuid()) return {};
  for (const char* file : {".", "cgroup.procs", "cgroup.subtree_control"}) {
    if (fchownat(folder_.get(), file, owner, owner, 0) != 0) return missing(errno);
  }
  return {};
}

UniqueFd Groups::make(const Plan& plan, std::string& name) const {
  static std::uint64_t last = 0;
  name = "box-" + std::to_string(++last);
  if (mkdirat(folder_.get(), name.c_str(), 0755) != 0) return {};
  UniqueFd group(openat(folder_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Limits& limits = plan.limits;
  int error = group ? 0 : errno;
  const auto set = [&](Want want, const char* file, const std::string& value) {
    if (want != Want::kOff && error == 0) error = write_at(group.get(), file, value);
  };
  set(plan.memory_cgroup, "memory.max", std::to_string(limits.memory));
  if (plan.memory_cgroup != Want::kOff) {
    write_at(group.get(), "memory.swap.max", "0");  // where there is any
    write_at(group.get(), "memory.oom.group", "1");
  }
  set(plan.pids_cgroup, "pids.max", std::to_string(limits.nproc + 1));
  set(plan.cpu_cgroup, "cpu.max",
      std::to_string(std::max(1000L, static_cast<long>(limits.cpus * 100'000))) +
          " 100000");
  if (error == 0) return group;
  remove(name);
  errno = error;
  return {};
}

Groups::Account Groups::account(const std::string& name) const {
  Account account;
  account.cpu_us = value_of(read_at(folder_.get(), name + "/cpu.stat"), "usage_usec");
  account.out_of_memory =
      value_of(read_at(folder_.get(), name + "/memory.events"), "oom_kill") > 0;
  account.peak_kib =
      std::strtoull(read_at(folder_.get(), name + "/memory.peak").c_str(), nullptr, 10) /
      1024;
  return account;
}

void Groups::remove(const std::string& name) const {
  write_at(folder_.get(), name + "/cgroup.kill", "1");
  unlinkat(folder_.get(), name.c_str(), AT_REMOVEDIR);
}

}  // namespace carrel::sandbox
