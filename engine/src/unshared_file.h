// A lock file that stays with the process that opened it.
//
// A lock by flock(2) belongs to the open file, which the child of a fork has, too: where
// the process that took it is killed, a child that lives on would hold it for as long as
// it lives, and know nothing of it. So a child of fork() closes what it got, before
// fork() returns there; its parent's lock stays as it is, also where the child then uses
// the object, whose descriptor is gone. A child of a bare clone(), _Fork() or vfork()
// keeps it until it executes a program or ends.
#pragma once

namespace carrel {

class UnsharedFile {
 public:
  UnsharedFile() = default;
  ~UnsharedFile();
  UnsharedFile(const UnsharedFile&) = delete;
  UnsharedFile& operator=(const UnsharedFile&) = delete;

  // REQUIRES: none is open. As open(2), with O_CLOEXEC; false: errno says why.
  bool open(const char* path, int flags, unsigned mode) noexcept;
  int fd() const noexcept { return fd_; }  // -1: none, or a parent's

 private:
  struct Forking;

  int fd_ = -1;
  UnsharedFile* next_ = nullptr;
  UnsharedFile* previous_ = nullptr;
};

}  // namespace carrel
