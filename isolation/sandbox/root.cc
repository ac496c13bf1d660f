#include "root.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "os.h"
#include "user_map.h"

namespace carrel::sandbox {
namespace {

using process::UniqueFd;
using Stage = process::Reply::Stage;

constexpr const char* kScaffold = "/tmp";  // where the new root is put together
constexpr std::array kDeviceFiles = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                     "/dev/urandom"};
constexpr std::array kMaybeLinks = {"/bin",   "/sbin",  "/lib",
                                    "/lib32", "/lib64", "/libx32"};
constexpr std::array<std::pair<const char*, const char*>, 5> kLinks = {{
    {"/proc/self/fd", "dev/fd"},
    {"/proc/self/fd/0", "dev/stdin"},
    {"/proc/self/fd/1", "dev/stdout"},
    {"/proc/self/fd/2", "dev/stderr"},
    {"/tmp", "dev/shm"},
}};

// A copy of a part of the host's tree, not yet anywhere.
struct Piece {
  UniqueFd tree;
  std::string place;  // in the new root, without the first '/'
  bool folder = true;
};

class Builder {
 public:
  explicit Builder(const Blueprint& blueprint) : blueprint_(blueprint) {}

  Setback build() {
    const bool made = enter() && private_mounts() && gather() && become_inner() &&
                      scaffold() && place_all() && own_files() && turn();
    if (made) return {};
    return std::move(setback_);
  }

 private:
  bool fail_at(Stage stage, int error, std::string what = {}) {
    setback_ = {stage, error, std::move(what)};
    return false;
  }
  bool fail_root(std::string what) {
    const int error = errno;
    return fail_at(Stage::kRoot, error, std::move(what));
  }

  bool enter() {
    const uid_t user = blueprint_.plan.user;
    const bool root = may_become(user);
    // The kernel counts no processes of its root, whatever that is called in here.
    if (user == 0 || is_root_alone(user)) return fail_at(Stage::kIdentity, EINVAL);
    if (root && setgroups(0, nullptr) != 0) return fail_at(Stage::kIdentity, errno);
    bool mapped = false;
    const int error =
        enter_user_namespace(root ? user : geteuid(), root ? user : getegid(), mapped);
    if (error == 0) return true;
    return fail_at(mapped ? Stage::kIdentity : Stage::kNamespaces, error);
  }

  bool private_mounts() {
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) return true;
    return fail_root("/");
  }

  // While this process is still the host's user: it may then be shown what is the host's
  // alone.
  bool gather() {
    for (const auto& mount : blueprint_.mounts) {
      const std::uint64_t attributes =
          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (mount.ro ? MOUNT_ATTR_RDONLY : 0);
      if (!take(mount.src, mount.dst, attributes)) return false;
    }
    for (const char* device : kDeviceFiles) {
      if (!take(device, device, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)) return false;
    }
    // The kernel lets a namespace mount its own /proc only where it sees a whole one.
    return blueprint_.plan.proc == Want::kOff || take("/proc", "/proc", 0);
  }

  bool take(const std::string& from, const std::string& to, std::uint64_t attributes) {
    Piece piece;
    piece.tree.reset(open_tree(AT_FDCWD, from.c_str(),
                               OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (!piece.tree) return fail_root(from);
    struct stat info {};
    if (fstat(piece.tree.get(), &info) != 0) return fail_root(from);
    piece.folder = S_ISDIR(info.st_mode);
    mount_attr change{};
    change.attr_set = attributes;
    if (attributes != 0 &&
        mount_setattr(piece.tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &change,
                      sizeof change) != 0) {
      return fail_root(from);
    }
    piece.place = to.substr(1);
    pieces_.push_back(std::move(piece));
    return true;
  }

  bool become_inner() {
    if (setresgid(kInnerUser, kInnerUser, kInnerUser) == 0 &&
        setresuid(kInnerUser, kInnerUser, kInnerUser) == 0) {
      return true;
    }
    return fail_at(Stage::kIdentity, errno);
  }

  bool scaffold() {
    if (mount("tmpfs", kScaffold, "tmpfs", MS_NOSUID | MS_NODEV,
              "mode=0755,size=1m,nr_inodes=2048") == 0 &&
        chdir(kScaffold) == 0) {
      return true;
    }
    return fail_root(kScaffold);
  }

  static void make_folders(const std::string& path) {
    for (auto slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      mkdir(path.substr(0, slash).c_str(), 0755);  // it may be there
    }
  }

  bool place_all() {
    for (const Piece& piece : pieces_) {
      make_folders(piece.place);
      int error = 0;
      if (piece.folder) {
        mkdir(piece.place.c_str(), 0755);
      } else {
        const UniqueFd file(
            open(piece.place.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        error = file ? 0 : errno;
      }
      if (move_mount(piece.tree.get(), "", AT_FDCWD, piece.place.c_str(),
                     MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        if (errno == ENOENT && error != 0) errno = error;  // it could not be made
        return fail_root("/" + piece.place);
      }
    }
    pieces_.clear();
    return true;
  }

  bool own_files() {
    for (const char* path : kMaybeLinks) {
      char target[256];
      const ssize_t size = readlink(path, target, sizeof target - 1);
      if (size <= 0) continue;
      target[size] = '\0';
      if (symlink(target, path + 1) != 0 && errno != EEXIST) return fail_root(path);
    }
    for (const auto& [target, place] : kLinks) {
      if (symlink(target, place) != 0) return fail_root(place);
    }
    for (const char* folder : {"etc", "proc", "tmp"}) mkdir(folder, 0755);
    const std::string id = std::to_string(kInnerUser);
    return write_file("etc/passwd",
                      "sandbox:x:" + id + ":" + id + "::" + kWorkFolder + ":/bin/sh\n") &&
           write_file("etc/group", "sandbox:x:" + id + ":\n") &&
           write_file("etc/hosts", "127.0.0.1 localhost sandbox\n");
  }

  bool write_file(const char* name, const std::string& text) {
    const UniqueFd file(open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
    if (!file) return errno == EEXIST || fail_root(name);  // a mount stands there
    if (write(file.get(), text.data(), text.size()) < 0) return fail_root(name);
    return true;
  }

  // The old root is stacked upon the new one, and taken off.
  bool turn() {
    if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 ||
        chdir("/") != 0) {
      return fail_root("pivot_root");
    }
    mount_attr change{};
    change.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    if (mount_setattr(AT_FDCWD, "/", 0, &change, sizeof change) == 0) return true;
    return fail_root("/");
  }

  const Blueprint& blueprint_;
  std::vector<Piece> pieces_;
  Setback setback_;
};

}  // namespace

Setback move_in(const Blueprint& blueprint) { return Builder(blueprint).build(); }

}  // namespace carrel::sandbox
