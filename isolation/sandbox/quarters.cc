#include "quarters.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "confine.h"
#include "landlock.h"
#include "remove_tree.h"
#include "user_map.h"

namespace carrel::sandbox {

using process::UniqueFd;

bool Quarters::fail_at(Stage stage, int error) {
  stage_ = stage;
  error_ = error;
  return false;
}

void Quarters::furnish(const Blueprint& blueprint, const std::string& folder) {
  const Plan& plan = blueprint.plan;
  const bool made = plan.namespaces ? own_namespaces(plan) && own_mounts(plan)
                                    : own_folder(plan, folder);
  if (!made) return;
  // Where a working folder of the profile's begins, if it is a relative one.
  if (fchdir(folder_fd_.get()) != 0) {
    fail_at(Stage::kTemporary, errno);
    return;
  }
  if (!own_rules(blueprint) || !less_privilege() || !plan.namespaces) return;
  const Stage refused = confine(ruleset_, blueprint.filter);
  if (refused != Stage::kNone) fail_at(refused, errno);
}

bool Quarters::own_namespaces(const Plan& plan) {
  if (const int error = map_self()) return fail_at(Stage::kIdentity, error);
  // The slowest to make, so it is made here and not while the room waits.
  if (plan.own_network && unshare(CLONE_NEWNET) != 0) {
    return fail_at(Stage::kNamespaces, errno);
  }
  constexpr char kName[] = "sandbox";
  sethostname(kName, sizeof kName - 1);
  return true;
}

bool Quarters::own_mounts(const Plan& plan) {
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  has_own_proc_ =
      plan.proc != Want::kOff && mount("proc", "/proc", "proc", kFlags, nullptr) == 0;
  if (!has_own_proc_ && plan.proc == Want::kMust) return fail_at(Stage::kProc, errno);
  // The room had to bring the host's along, which must not be seen.
  if (!has_own_proc_ && plan.proc == Want::kIfThere &&
      mount("tmpfs", "/proc", "tmpfs", kFlags, "mode=0555,size=4k") != 0) {
    return fail_at(Stage::kProc, errno);
  }
  std::string options = "mode=0755";
  if (plan.limits.tmpfs_size > 0) {
    options += ",size=" + std::to_string(plan.limits.tmpfs_size);
  }
  if (plan.limits.tmpfs_files > 0) {  // and those that are there already
    options += ",nr_inodes=" + std::to_string(plan.limits.tmpfs_files + 2);
  }
  if (mount("tmpfs", kTemporary, "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0 ||
      mkdir(kWorkFolder, 0700) != 0) {
    return fail_at(Stage::kTemporary, errno);
  }
  folder_ = kWorkFolder;
  return open_folder();
}

bool Quarters::open_folder() {
  folder_fd_.reset(
      open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  return folder_fd_ || fail_at(Stage::kTemporary, errno);
}

// Without a root of its own the program has a folder among the host's.
bool Quarters::own_folder(const Plan& plan, const std::string& folder) {
  user_ = plan.user;
  if (user_ == 0 || is_root_alone(user_)) return fail_at(Stage::kIdentity, EINVAL);
  drops_user_ = may_become(user_);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (mkdir(folder.c_str(), 0700) != 0) return fail_at(Stage::kTemporary, errno);
  folder_ = on_disk_ = folder;
  if (!open_folder()) return false;
  // From when it is the sandbox's, others of that user may put something else in its
  // place. From here on it is the one that is open.
  struct stat info {};
  if (fstat(folder_fd_.get(), &info) != 0) return fail_at(Stage::kTemporary, errno);
  if (!drops_user_) return true;
  if (info.st_uid != geteuid()) return fail_at(Stage::kTemporary, EPERM);
  return fchown(folder_fd_.get(), user_, user_) == 0 || fail_at(Stage::kTemporary, errno);
}

bool Quarters::own_rules(const Blueprint& blueprint) {
  const Plan& plan = blueprint.plan;
  if (plan.landlock == Want::kOff) return true;
  static const Ruleset rules(!plan.own_network);
  if (!rules) {
    return plan.landlock == Want::kIfThere || fail_at(Stage::kLandlock, errno);
  }
  int error = 0;
  const auto allow = [&](const char* path, Access access) {
    if (error == 0) error = rules.allow(path, access);
  };
  if (plan.namespaces) {
    allow("/", Access::kRead);
    allow("/dev", Access::kDevice);
    allow(kTemporary, Access::kWrite);
  } else {
    for (const char* device :
         {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
      allow(device, Access::kDevice);
    }
    if (error == 0) error = rules.allow(folder_fd_.get(), Access::kWrite);
  }
  for (const auto& mount : blueprint.mounts) {
    if (!mount.ro) {
      allow(mount.dst.c_str(), Access::kWrite);
    } else if (!plan.namespaces) {
      allow(mount.dst.c_str(), Access::kRead);
    }
  }
  if (error != 0) return fail_at(Stage::kLandlock, error);
  ruleset_ = rules.fd();
  return true;
}

// What the program could never have again. The box itself keeps what it has.
bool Quarters::less_privilege() {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
       ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM) {
      return fail_at(Stage::kCapabilities, errno);
    }
  }
  return true;
}

void Quarters::give_away(int fd) const {
  if (drops_user_ && fchown(fd, user_, user_) != 0) return;  // then it can only be read
}

int Quarters::put(const char* name, std::string_view text) const {
  std::string_view rest(name);
  UniqueFd folder(fcntl(folder_fd_.get(), F_DUPFD_CLOEXEC, 0));
  for (;;) {
    const auto slash = rest.find('/');
    const std::string part(rest.substr(0, slash));
    if (part.empty() || part == "." || part == "..") return EINVAL;
    if (slash == std::string_view::npos) {
      const UniqueFd file(openat(folder.get(), part.c_str(),
                                 O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
                                 0755));
      if (!file) return errno;
      give_away(file.get());
      while (!text.empty()) {
        const ssize_t n = write(file.get(), text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? errno : EIO;
        text.remove_prefix(static_cast<std::size_t>(n));
      }
      return 0;
    }
    if (mkdirat(folder.get(), part.c_str(), 0755) != 0 && errno != EEXIST) return errno;
    UniqueFd next(openat(folder.get(), part.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return errno;
    give_away(next.get());
    folder = std::move(next);
    rest.remove_prefix(slash + 1);
  }
}

void Quarters::clear() {
  if (!on_disk_.empty()) remove_tree(on_disk_);
}

}  // namespace carrel::sandbox
