// The last steps towards the program, in its own process: limits, then one after the
// other all that cannot be taken back.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "blueprint.h"
#include "wire.h"

namespace carrel::sandbox {

struct Target {
  const process::SpawnJob* job =
      nullptr;  // null: checks what is enforced, and ends with 0
  const Plan* plan = nullptr;
  std::string_view filter;  // of system calls; empty: none
  int ruleset = -1;         // of Landlock; -1: none
  int fds[4] = {};          // become 0 to 3; above 3 each
  bool drop_user = false;   // the host is root, and there is no namespace to map it in
  pid_t parent = -1;        // set by launch()
  // Set where it did not come as far as the program:
  int error = 0;  // 0 with a stage: the kernel took it, and does not do it
  process::Reply::Stage stage = process::Reply::Stage::kNone;
};

// > 0: it runs, a child of the caller, which has one thread and all signals blocked, and
// was held until the program was executed. -1: `error` and `stage` say why not.
pid_t launch(Target& target) noexcept;

}  // namespace carrel::sandbox
