// Whether a file that is open is the one that its name still leads to.
#pragma once

#include <carrel/result.h>
#include <sys/types.h>

#include <string>

#include "unshared_file.h"

namespace carrel::sql::sqlite {

// Threads: as const. Wherever the process's folder, or root, is by then.
class FileIdentity {
 public:
  // Of the file that is at `path` now.
  explicit FileIdentity(std::string path) noexcept;
  // kUnavailable: it was removed or renamed, or another has its name, so that what is
  // stored in it is for nobody. Not where nothing is known of either, as in a folder that
  // may not be looked into.
  Result<void> check() const;

 private:
  bool still_there() const noexcept;

  const std::string path_;
  UnsharedFile folder_;  // in a child of fork() nothing is known
  std::string name_;
  bool known_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace carrel::sql::sqlite
