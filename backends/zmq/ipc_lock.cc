#include "ipc_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

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
  constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  errno = 0;
  if (path.size() > kLongest) {
    return refuse(Code::kInvalid, "a path of " + std::to_string(path.size()) +
                                      " bytes; a socket's has " +
                                      std::to_string(kLongest) + " at most");
  }
  // libzmq removes whatever is in its way.
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0 && !S_ISSOCK(there.st_mode)) {
    return refuse(Code::kInvalid, path + " is there, and is no socket");
  }
  std::unique_ptr<IpcLock> lock(new IpcLock);
  if (!lock->file_.open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW, 0600)) {
    return refuse(Code::kInvalid, file + ": " + std::strerror(errno));
  }
  if (flock(lock->file_.fd(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) {
    return refuse(Code::kInvalid, file + ": " + std::strerror(errno));
  }
  return refuse(Code::kExists, "another broker serves there, and holds " + file);
}

// Said, and not left to close(): a child that has not got as far as to close its copy, or
// to execute its program, keeps the file open.
IpcLock::~IpcLock() { flock(file_.fd(), LOCK_UN); }

}  // namespace carrel::zmq
