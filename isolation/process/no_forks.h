// Keeps the host from forking for a moment.
#pragma once

#include <mutex>

namespace carrel::process {

// While one lives, fork() waits in every thread of this process. For the other end of a
// socket on its way to another process: a copy of it, in a child that the host forked
// meanwhile, would hide that process's death for as long as the child lives. Held by one
// thread at a time, which must not fork; briefly, and around nothing that waits for
// others.
class NoForks {
 public:
  NoForks();
  ~NoForks();
  NoForks(const NoForks&) = delete;
  NoForks& operator=(const NoForks&) = delete;
};

// Of what this process knows of its server. fork() takes it, and before NoForks does: so
// a child of a host with threads finds it whole, and not held by a thread that it has
// not.
std::mutex& server_lock() noexcept;

}  // namespace carrel::process
