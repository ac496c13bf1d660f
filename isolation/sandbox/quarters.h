// What one box lives in: its own view of the machine, and the folder of its program.
//
// For the box's own process, before its program.
#pragma once

#include <string>
#include <string_view>

#include "blueprint.h"
#include "os.h"
#include "wire.h"

namespace carrel::sandbox {

class Quarters {
 public:
  using Stage = process::Reply::Stage;
  // Makes all of it, or stops at what fails first. `folder`: where the program's is to
  // be if it is among the host's. In namespaces this process is confined then as its
  // program (confine.h): it does nothing that the program may not, and the kernel takes
  // its time to compile a filter, which the job would wait for.
  void furnish(const Blueprint& blueprint, const std::string& folder);
  bool failed() const noexcept { return stage_ != Stage::kNone; }
  Stage stage() const noexcept { return stage_; }
  int error() const noexcept { return error_; }

  int ruleset() const noexcept { return ruleset_; }  // -1: none
  // Its /proc shows the processes of the sandbox, and no other.
  bool has_own_proc() const noexcept { return has_own_proc_; }
  bool drops_user() const noexcept { return drops_user_; }
  const char* folder() const noexcept { return folder_.c_str(); }
  int folder_fd() const noexcept { return folder_fd_.get(); }
  // Writes one file into the folder: `name` may have folders of its own, and no "..".
  // 0, or errno.
  int put(const char* name, std::string_view text) const;
  // There is something to clear().
  bool outlives_process() const noexcept { return !on_disk_.empty(); }
  // Removes what would outlive the process.
  void clear();

 private:
  bool fail_at(Stage stage, int error);
  bool own_namespaces(const Plan& plan);
  bool own_mounts(const Plan& plan);
  bool own_folder(const Plan& plan, const std::string& folder);
  bool open_folder();
  bool own_rules(const Blueprint& blueprint);
  bool less_privilege();
  void give_away(int fd) const;

  Stage stage_ = Stage::kNone;
  int error_ = 0;
  int ruleset_ = -1;  // never closed: the box lives no longer than its process
  bool drops_user_ = false;
  bool has_own_proc_ = false;
  std::uint32_t user_ = 0;
  std::string folder_;
  std::string on_disk_;  // a folder of the host's, to be removed
  process::UniqueFd folder_fd_;
};

}  // namespace carrel::sandbox
