// Landlock: what a process may do with files and sockets, by the kernel's own rules.
//
// Raw system calls: none of these allocates or locks.
#pragma once

#include <cstdint>

#include "os.h"

namespace carrel::sandbox {

// The version of the kernel's interface; 0: it has none.
int landlock_version() noexcept;
// Whether it has a right of its own to cut off files.
constexpr bool landlock_truncates(int version) noexcept { return version >= 3; }

// Whether it keeps programs from abstract unix sockets of others.
constexpr bool landlock_scopes(int version) noexcept { return version >= 6; }

enum class Access : std::uint8_t {
  kRead,    // also to execute
  kWrite,   // files and folders too, but no devices
  kDevice,  // read and write, nothing made
};

class Ruleset {
 public:
  // Empty, with errno set: there is no Landlock. `network`: TCP may be used.
  explicit Ruleset(bool network) noexcept;
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  int fd() const noexcept { return fd_.get(); }
  // What is at or below `path`; 0, or errno. A path that is not there needs no rule.
  int allow(const char* path, Access access) const noexcept;
  int allow(int folder, Access access) const noexcept;  // likewise, what is open

 private:
  process::UniqueFd fd_;
  std::uint64_t handled_ = 0;
};

}  // namespace carrel::sandbox
