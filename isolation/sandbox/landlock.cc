#include "landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace carrel::sandbox {
namespace {

// Newer than the headers that this may be compiled with.
constexpr std::uint64_t kRefer = 1ULL << 13;     // version 2
constexpr std::uint64_t kTruncate = 1ULL << 14;  // 3
constexpr std::uint64_t kIoctlDev = 1ULL << 15;  // 5
constexpr std::uint64_t kBindTcp = 1ULL << 0;    // 4
constexpr std::uint64_t kConnectTcp = 1ULL << 1;
constexpr std::uint64_t kScopeAbstractUnix = 1ULL << 0;  // 6
constexpr std::uint64_t kScopeSignal = 1ULL << 1;

struct Attributes {
  std::uint64_t fs = 0;
  std::uint64_t net = 0;
  std::uint64_t scoped = 0;
};

constexpr std::uint64_t kReading = LANDLOCK_ACCESS_FS_EXECUTE |
                                   LANDLOCK_ACCESS_FS_READ_FILE |
                                   LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriting =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | kRefer | kTruncate;
constexpr std::uint64_t kDeviceUse =
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | kIoctlDev;
// The rights that make sense for what is no folder.
constexpr std::uint64_t kOfFiles = LANDLOCK_ACCESS_FS_EXECUTE |
                                   LANDLOCK_ACCESS_FS_READ_FILE |
                                   LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctlDev;

std::uint64_t rights(Access access) {
  switch (access) {
    case Access::kRead:
      return kReading;
    case Access::kWrite:
      return kReading | kWriting;
    case Access::kDevice:
      return kReading | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctlDev;
  }
  return 0;
}

}  // namespace

int landlock_version() noexcept {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? static_cast<int>(version) : 0;
}

Ruleset::Ruleset(bool network) noexcept {
  const int version = landlock_version();
  if (version == 0) return;
  handled_ = kReading | kWriting | kDeviceUse;
  if (version < 2) handled_ &= ~kRefer;
  if (!landlock_truncates(version)) handled_ &= ~kTruncate;
  if (version < 5) handled_ &= ~kIoctlDev;
  Attributes attributes{handled_};
  std::size_t size = sizeof attributes.fs;
  if (version >= 4) {
    size += sizeof attributes.net;
    if (!network) attributes.net = kBindTcp | kConnectTcp;
  }
  if (landlock_scopes(version)) {
    size += sizeof attributes.scoped;
    attributes.scoped = kScopeAbstractUnix | kScopeSignal;
  }
  fd_.reset(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
}

int Ruleset::allow(const char* path, Access access) const noexcept {
  const process::UniqueFd file(open(path, O_PATH | O_CLOEXEC));
  if (!file) return errno == ENOENT ? 0 : errno;
  return allow(file.get(), access);
}

int Ruleset::allow(int file, Access access) const noexcept {
  struct stat info {};
  if (fstat(file, &info) != 0) return errno;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights(access) & handled_;
  if (!S_ISDIR(info.st_mode)) rule.allowed_access &= kOfFiles;
  rule.parent_fd = file;
  if (syscall(SYS_landlock_add_rule, fd_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) !=
      0) {
    return errno;
  }
  return 0;
}

}  // namespace carrel::sandbox
