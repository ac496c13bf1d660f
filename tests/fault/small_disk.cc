#include "small_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace carrel::fault {

std::unique_ptr<SmallDisk> SmallDisk::make(std::uintmax_t bytes, std::string& refused) {
  std::unique_ptr<SmallDisk> disk(new SmallDisk);
  // A mount namespace of this process's own: nobody else sees the disk. Whoever runs
  // servers may write to it.
  const std::string options = "mode=1777,size=" + std::to_string(bytes);
  if (unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("carrel", disk->path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
    refused = std::string("no privilege to mount a tmpfs (CAP_SYS_ADMIN): ") +
              std::strerror(errno);
    return nullptr;
  }
  disk->mounted_ = true;
  return disk;
}

SmallDisk::~SmallDisk() {
  if (mounted_) umount2(path().c_str(), MNT_DETACH);
}

void SmallDisk::fill() const {
  const int fd = open((path() / "filler").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd < 0) throw std::runtime_error("no file to fill the disk with");
  for (const std::size_t size :
       {std::size_t{65'536}, std::size_t{4'096}, std::size_t{1}}) {
    const std::string block(size, 'x');
    while (write(fd, block.data(), block.size()) == static_cast<ssize_t>(block.size())) {
    }
  }
  close(fd);
}

void SmallDisk::make_room() const { unlink((path() / "filler").c_str()); }

}  // namespace carrel::fault
