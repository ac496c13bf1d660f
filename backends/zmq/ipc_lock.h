// One broker on one ipc:// path.
#pragma once

#include <carrel/result.h>

#include <memory>
#include <string>

#include "unshared_file.h"

namespace carrel::zmq {

// Held beside the socket, in PATH.lock: ZeroMQ takes over whatever stands at an ipc://
// path, also the socket of a broker that serves. A broker that was killed leaves the
// file, and nothing that would keep the next one out, whatever children of it live on.
class IpcLock {
 public:
  // nullptr: `endpoint` has no path that could be another's. kExists: a broker has it.
  // kInvalid: no socket can be made there, or something that is none is in its place.
  static Result<std::unique_ptr<IpcLock>> take(const std::string& endpoint);
  ~IpcLock();
  IpcLock(const IpcLock&) = delete;
  IpcLock& operator=(const IpcLock&) = delete;

 private:
  IpcLock() = default;
  UnsharedFile file_;
};

}  // namespace carrel::zmq
