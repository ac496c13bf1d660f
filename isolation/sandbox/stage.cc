#include "stage.h"

#include <cerrno>
#include <string>

#include "os.h"

namespace carrel::sandbox {
namespace {

using Stage = process::Reply::Stage;

std::string_view hint(Stage stage, int error) {
  switch (stage) {
    case Stage::kNamespaces:
      if (error == ENOSPC) {
        return "raise user.max_user_namespaces and its like (sysctl), or set tier = "
               "\"restricted\"";
      }
      return "let ordinary users make user namespaces (sysctl "
             "kernel.unprivileged_userns_clone=1, "
             "kernel.apparmor_restrict_unprivileged_userns=0; in a container a seccomp "
             "profile that allows unshare), or set tier = \"restricted\"";
    case Stage::kIdentity:
      return "the profile's `user` must be a user that this namespace has, and not 0";
    case Stage::kRoot:
      return "a folder that is to be mounted is not there or cannot be mounted; a `dst` "
             "below /usr or below another mount must be there already";
    case Stage::kProc:
      return "/proc is masked here, as in a container: show it whole, or say "
             "allow_missing = [\"proc\"]";
    case Stage::kTemporary:
      return "a tmpfs cannot be mounted or written";
    case Stage::kLandlock:
      return "boot with lsm=landlock,… on Linux 5.13 or later, or say allow_missing = "
             "[\"landlock\"]";
    case Stage::kCgroup:
      return "set cgroup_parent to a folder of cgroup v2 that is delegated to this user "
             "(systemd: Delegate=yes), or say allow_missing = [\"cgroup\"]";
    case Stage::kMemoryCgroup:
      return "delegate the memory controller to cgroup_parent, or say allow_missing = "
             "[\"memory_cgroup\"]";
    case Stage::kPidsCgroup:
      return "delegate the pids controller to cgroup_parent, or say allow_missing = "
             "[\"pids_cgroup\"]";
    case Stage::kCpuCgroup:
      return "delegate the cpu controller to cgroup_parent, or say allow_missing = "
             "[\"cpu_cgroup\"]";
    case Stage::kSeccomp:
      return "the kernel needs CONFIG_SECCOMP_FILTER; or set seccomp = \"off\"";
    case Stage::kLimits:
      return "a limit cannot be set, as where a container's seccomp profile refuses "
             "setrlimit";
    case Stage::kCapabilities:
      return "privileges cannot be given up, as where a container's seccomp profile "
             "refuses prctl or capset";
    case Stage::kFiles:
      return error == ENOSPC || error == EDQUOT
                 ? "there must be room for them in its folder: tmpfs_size and "
                   "tmpfs_files; in tier restricted, the file system of TMPDIR"
                 : "";
    default:
      return "";
  }
}

}  // namespace

std::string_view feature(Stage stage) noexcept {
  switch (stage) {
    case Stage::kIdentity:
      return "a user of its own";
    case Stage::kNamespaces:
      return "namespaces";
    case Stage::kRoot:
      return "a root of its own";
    case Stage::kProc:
      return "proc";
    case Stage::kTemporary:
      return "a folder of its own";
    case Stage::kLandlock:
      return "landlock";
    case Stage::kCgroup:
      return "cgroup";
    case Stage::kMemoryCgroup:
      return "memory_cgroup";
    case Stage::kPidsCgroup:
      return "pids_cgroup";
    case Stage::kCpuCgroup:
      return "cpu_cgroup";
    case Stage::kFiles:
      return "files for its folder";
    case Stage::kLimits:
      return "limits";
    case Stage::kCapabilities:
      return "no_new_privs";
    case Stage::kSeccomp:
      return "seccomp";
    default:
      return "a process";
  }
}

Error unavailable(Stage stage, int error, std::string_view what) {
  std::string message = "sandbox_unavailable: ";
  message.append(feature(stage));
  if (!what.empty()) message.append(", ").append(what);
  message += error == 0 ? ": the kernel took it, and does not enforce it"
                        : ": " + process::errno_text(error);
  if (const auto more = hint(stage, error); !more.empty()) {
    message.append("; ").append(more);
  }
  return {Code::kUnsupported, std::move(message), "sandbox", error};
}

}  // namespace carrel::sandbox
