#include "remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include "os.h"

namespace carrel::sandbox {
namespace {

using process::UniqueFd;
using Entries = std::unique_ptr<DIR, int (*)(DIR*)>;

// Folders that are open at once. What lies deeper is moved up first: the way back by ".."
// would lead wherever somebody has moved the folder to.
constexpr std::size_t kDeepest = 32;

Entries open_folder(int at, const char* name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd folder(openat(at, name, kFlags));
  if (!folder && errno == EACCES && fchmodat(at, name, 0700, AT_SYMLINK_NOFOLLOW) == 0) {
    folder.reset(openat(at, name, kFlags));
  }
  if (!folder) return {nullptr, closedir};
  fchmod(folder.get(), 0700);
  Entries entries(fdopendir(folder.get()), closedir);
  if (entries) (void)folder.release();
  return entries;
}

class Remover {
 public:
  explicit Remover(const std::string& folder) {
    Entries entries = open_folder(AT_FDCWD, folder.c_str());
    if (entries) levels_.push_back({std::move(entries), {}});
  }

  // Until nothing is left, or nothing goes away any more.
  void run() {
    if (levels_.empty()) return;
    do {
      changed_ = false;
      rewinddir(levels_.front().entries.get());
      pass();
    } while (changed_);
  }

 private:
  struct Level {
    Entries entries;
    std::string name;  // in the one above
  };

  void pass() {
    for (;;) {
      const dirent* entry = readdir(levels_.back().entries.get());
      if (entry != nullptr) {
        remove(entry->d_name);
      } else if (levels_.size() > 1) {
        const std::string name = std::move(levels_.back().name);
        levels_.pop_back();
        note(unlinkat(here(), name.c_str(), AT_REMOVEDIR));
      } else {
        return;
      }
    }
  }

  void remove(const char* name) {
    if (std::string_view(name) == "." || std::string_view(name) == "..") return;
    if (note(unlinkat(here(), name, 0)) || note(unlinkat(here(), name, AT_REMOVEDIR))) {
      return;
    }
    if (errno != ENOTEMPTY && errno != EEXIST) return;
    Entries entries = open_folder(here(), name);
    if (!entries) return;
    if (levels_.size() < kDeepest) {
      levels_.push_back({std::move(entries), name});
    } else {
      move_up(name);
    }
  }

  // To the topmost, where the next pass finds it. A name that is taken is so by what is
  // not an empty folder.
  void move_up(const char* name) {
    const int top = dirfd(levels_.front().entries.get());
    do {
      const std::string free = "carrel-" + std::to_string(moved_++);
      if (note(renameat(here(), name, top, free.c_str()))) return;
    } while (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR);
  }

  int here() const { return dirfd(levels_.back().entries.get()); }
  bool note(int result) {
    changed_ |= result == 0;
    return result == 0;
  }

  std::vector<Level> levels_;
  std::size_t moved_ = 0;
  bool changed_ = false;
};

}  // namespace

void remove_tree(const std::string& folder) {
  Remover(folder).run();
  rmdir(folder.c_str());
}

}  // namespace carrel::sandbox
