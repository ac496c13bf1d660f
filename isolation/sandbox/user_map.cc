#include "user_map.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <string>

#include "blueprint.h"
#include "os.h"

namespace carrel::sandbox {
namespace {

int write_file(const std::string& path, const std::string& text) {
  const process::UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  return write(file.get(), text.data(), text.size()) < 0 ? errno : 0;
}

// Who `inner` is one namespace further out; empty: nobody.
std::optional<unsigned long> outside(unsigned long inner) {
  std::ifstream map("/proc/self/uid_map");
  unsigned long first = 0;
  unsigned long there = 0;
  unsigned long count = 0;
  while (map >> first >> there >> count) {
    if (inner >= first && inner - first < count) return there + (inner - first);
  }
  return std::nullopt;
}

int write_maps(const std::string& process, uid_t user, gid_t group, bool deny_groups) {
  const std::string inner = std::to_string(kInnerUser) + " ";
  if (deny_groups) {
    if (const int error = write_file(process + "/setgroups", "deny")) return error;
  }
  if (const int error =
          write_file(process + "/uid_map", inner + std::to_string(user) + " 1")) {
    return error;
  }
  return write_file(process + "/gid_map", inner + std::to_string(group) + " 1");
}

}  // namespace

bool may_become(uid_t user) { return geteuid() == 0 && outside(user).has_value(); }

bool is_root_alone(uid_t user) {
  return geteuid() == 0 && !outside(user) && outside(0) == 0UL;
}

// Only a process outside may map another user than its own, so one is left behind.
int enter_user_namespace(uid_t user, gid_t group, bool& mapped) {
  mapped = true;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  process::UniqueFd in(ends[0]);
  process::UniqueFd out(ends[1]);
  const std::string self = "/proc/" + std::to_string(getpid());
  const pid_t helper = fork();
  if (helper < 0) return errno;
  if (helper == 0) {
    out.reset();
    char go = 0;
    if (read(in.get(), &go, 1) != 1) _exit(0);
    _exit(write_maps(self, user, group, true));
  }
  in.reset();
  int error = unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ? errno : 0;
  if (error != 0) {
    mapped = false;
  } else if (write(out.get(), "", 1) != 1) {
    error = errno;
  }
  out.reset();
  int status = 0;
  waitpid(helper, &status, 0);
  if (error == 0) error = WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
  return error;
}

int map_self() { return write_maps("/proc/self", kInnerUser, kInnerUser, false); }

}  // namespace carrel::sandbox
