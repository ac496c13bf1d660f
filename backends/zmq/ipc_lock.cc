#include "ipc_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace carrel::zmq {

Result<std::unique_ptr<IpcLock>> IpcLock::take(const std::string& endpoint) {
  constexpr std::string_view kIpc = "ipc://";
  if (!endpoint.starts_with(kIpc)) return nullptr;
  const std::string path = endpoint.substr(kIpc.size());
  // An abstract name cannot be taken over, and * is any that is free.
  if (path.empty() || path.front() == '@' || path == "*") return nullptr;
  const std::string file = path + ".lock";
  const auto refuse = [&](Code code, const std::string& why) {
    const int error = errno;
    return fail(code, "cannot listen on " + endpoint + ": " + why, "zmq", error);
  };
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return refuse(Code::kInvalid, file + ": " + std::strerror(errno));
  std::unique_ptr<IpcLock> lock(new IpcLock(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) {
    return refuse(Code::kInvalid, file + ": " + std::strerror(errno));
  }
  return refuse(Code::kExists, "another broker serves there, and holds " + file);
}

// Said, and not left to close(): a child that was forked meanwhile has the descriptor
// too.
IpcLock::~IpcLock() {
  flock(fd_, LOCK_UN);
  close(fd_);
}

}  // namespace carrel::zmq
