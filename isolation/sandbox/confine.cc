#include "confine.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os.h"

namespace carrel::sandbox {

using Stage = process::Reply::Stage;

CARREL_BARE_STACK Stage confine(int ruleset, std::string_view filter) noexcept {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Stage::kCapabilities;
  if (ruleset >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
    return Stage::kLandlock;
  }
  if (filter.empty()) return Stage::kNone;
  sock_fprog program{static_cast<unsigned short>(filter.size() / sizeof(sock_filter)),
                     reinterpret_cast<sock_filter*>(const_cast<char*>(filter.data()))};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0
             ? Stage::kNone
             : Stage::kSeccomp;
}

}  // namespace carrel::sandbox
