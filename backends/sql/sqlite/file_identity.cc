#include "file_identity.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "error.h"

namespace carrel::sql::sqlite {

// O_PATH, of the folder: SQLite's locks of a file would end as any other descriptor of it
// is closed (fcntl(2)).
FileIdentity::FileIdentity(std::string path) noexcept : path_(std::move(path)) {
  const std::size_t slash = path_.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  name_ = slash == std::string::npos ? path_ : path_.substr(slash + 1);
  struct stat file {};
  known_ = folder_.open(folder.c_str(), O_PATH | O_DIRECTORY, 0) &&
           fstatat(folder_.fd(), name_.c_str(), &file, 0) == 0;
  device_ = file.st_dev;
  inode_ = file.st_ino;
}

Result<void> FileIdentity::check() const {
  if (still_there()) return {};
  return fail(Code::kUnavailable,
              path_ +
                  ": the file was removed or replaced while it was open: put it back, or "
                  "end this program and start it again with what is there now",
              kOrigin);
}

bool FileIdentity::still_there() const noexcept {
  if (!known_ || folder_.fd() < 0) return true;
  struct stat file {};
  if (fstatat(folder_.fd(), name_.c_str(), &file, 0) != 0) return errno != ENOENT;
  return file.st_dev == device_ && file.st_ino == inode_;
}

}  // namespace carrel::sql::sqlite
