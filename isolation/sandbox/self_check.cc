#include "self_check.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "os.h"

namespace carrel::sandbox {
namespace {

using Stage = process::Reply::Stage;

CARREL_BARE_STACK bool has_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct held[2] = {};
  if (syscall(SYS_capget, &header, held) != 0) return true;
  return (held[0].permitted | held[1].permitted | held[0].effective |
          held[1].effective) != 0;
}

CARREL_BARE_STACK bool reaches_network() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(9);
  address.sin_addr.s_addr = htonl(0xc0000201);  // 192.0.2.1, which is nobody's
  const bool reached =
      connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return reached;
}

CARREL_BARE_STACK bool opens(const char* path, int flags) {
  const int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) return false;
  close(fd);
  return true;
}

CARREL_BARE_STACK bool limited(int resource, std::uint64_t value) {
  rlimit now{};
  return value == 0 ||
         (getrlimit(static_cast<__rlimit_resource_t>(resource), &now) == 0 &&
          now.rlim_cur <= value && now.rlim_max <= value);
}

}  // namespace

CARREL_BARE_STACK Stage check_self(const Plan& plan, bool filtered,
                                   bool landlocked) noexcept {
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || has_capabilities()) {
    return Stage::kCapabilities;
  }
  if (getuid() == 0 || geteuid() == 0) return Stage::kIdentity;
  if (plan.namespaces && getppid() != 1) return Stage::kNamespaces;
  if (filtered && (mount("none", "/", "tmpfs", 0, nullptr) == 0 || errno != EPERM ||
                   prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)) {
    return Stage::kSeccomp;
  }
  if (plan.own_network && reaches_network()) return Stage::kNamespaces;
  if (opens("/etc/shadow", O_RDONLY) || opens("/etc/carrel", O_CREAT | O_WRONLY)) {
    return plan.namespaces ? Stage::kRoot : Stage::kLandlock;
  }
  if (landlocked && !plan.namespaces && opens("/root", O_RDONLY | O_DIRECTORY)) {
    return Stage::kLandlock;
  }
  if (!limited(RLIMIT_NOFILE, plan.limits.open_files) ||
      !limited(RLIMIT_FSIZE, plan.limits.fsize) ||
      !limited(RLIMIT_AS, plan.limits.address_space)) {
    return Stage::kLimits;
  }
  if (!opens("probe", O_CREAT | O_EXCL | O_RDWR) || unlink("probe") != 0) {
    return Stage::kTemporary;
  }
  return Stage::kNone;
}

}  // namespace carrel::sandbox
