// The direct children of a process, as the kernel lists them.
//
// A child subreaper inherits what its children leave behind. Only it can reap those, so a
// pid in this list cannot be reused before it does: signalling one is free of races.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "os.h"

namespace carrel::process {

// One thread, the one that made it, in a process of one thread.
class ChildList {
 public:
  ChildList();  // of the calling process: opens /proc/self/task/<tid>/children
  // False: the kernel or this container does not list children (CONFIG_PROC_CHILDREN).
  bool available() const noexcept { return static_cast<bool>(file_); }
  // Replaces `out`; zombies are listed too.
  void read(std::vector<pid_t>& out);
  // All that descend from this process, as far as the lists of each tell at one time or
  // another: one that is just given to another parent may be missed, and what is more
  // than some ten thousand.
  static std::vector<pid_t> all_below();

 private:
  explicit ChildList(const std::string& thread);  // its folder
  UniqueFd file_;
  std::vector<char> text_;
};

// SIGKILL to a child of this process, and to its group if that is another.
void kill_child(pid_t pid);
// Ends the children of this process until it has none, and what they leave behind. For a
// process whose work is over.
void kill_all_children(ChildList& list);

}  // namespace carrel::process
