// The control groups of one room's boxes: a folder of its own in a part of cgroup v2 that
// is delegated to the host, and in there one group for each box.
//
// The host is never moved. The room moves itself, since only within that folder may it
// put boxes into groups. A process that stays outside removes the folder when the room is
// gone, however it ends.
#pragma once

#include <sys/types.h>

#include <string>

#include "blueprint.h"
#include "os.h"
#include "root.h"

namespace carrel::sandbox {

class Groups {
 public:
  // In the room, while it is still the host's user; `owner`: who it will be. A controller
  // that may be missing and is, becomes Want::kOff in `plan`. Nothing is made where the
  // plan wants no group.
  Setback open(Plan& plan, const std::string& parent, uid_t owner);
  bool on() const noexcept { return static_cast<bool>(folder_); }

  // A new group with the plan's bounds, for clone3(); empty, with errno.
  process::UniqueFd make(const Plan& plan, std::string& name) const;
  struct Account {
    std::uint64_t cpu_us = 0;    // of all that ever ran in it
    std::uint64_t peak_kib = 0;  // 0: not known
    bool out_of_memory = false;  // the kernel killed in it
  };
  Account account(const std::string& name) const;
  void remove(const std::string& name) const;  // of a group whose processes have ended

 private:
  bool enable(const char* controller, int parent) const;

  process::UniqueFd folder_;
  process::UniqueFd alive_;  // its end tells the janitor that the room has gone
};

}  // namespace carrel::sandbox
