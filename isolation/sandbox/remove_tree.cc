#include "remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "os.h"

namespace carrel::sandbox {
namespace {

using process::UniqueFd;

UniqueFd open_folder(int at, const char* name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd folder(openat(at, name, kFlags));
  if (folder || errno != EACCES) return folder;
  if (fchmodat(at, name, 0700, 0) != 0) return folder;
  return UniqueFd(openat(at, name, kFlags));
}

// Empties it but for folders that are not empty; the name of one of these, or nothing.
std::string empty_folder(int folder) {
  fchmod(folder, 0700);
  const int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return {};
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(copy), closedir);
  if (!entries) return {};
  while (const dirent* entry = readdir(entries.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (unlinkat(folder, name.c_str(), 0) == 0) continue;
    if (unlinkat(folder, name.c_str(), AT_REMOVEDIR) == 0) continue;
    if (errno == ENOTEMPTY || errno == EEXIST) return name;
  }
  return {};
}

}  // namespace

// With one descriptor for however many levels: down by name, up by "..".
void remove_tree(const std::string& folder) {
  UniqueFd at = open_folder(AT_FDCWD, folder.c_str());
  std::vector<std::string> path;
  while (at) {
    std::string deeper = empty_folder(at.get());
    if (!deeper.empty()) {
      UniqueFd next = open_folder(at.get(), deeper.c_str());
      if (!next) return;
      at = std::move(next);
      path.push_back(std::move(deeper));
      continue;
    }
    if (path.empty()) break;
    UniqueFd up(openat(at.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!up || unlinkat(up.get(), path.back().c_str(), AT_REMOVEDIR) != 0) return;
    at = std::move(up);
    path.pop_back();
  }
  rmdir(folder.c_str());
}

}  // namespace carrel::sandbox
