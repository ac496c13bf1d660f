// The process in which something was made. A child of fork() has a copy of it, with locks
// that other threads held and without the threads that it needs: nothing may be asked of
// that.
#pragma once

#include <cstdint>

namespace carrel {

// Threads: safe; a look costs no system call.
class Birthplace {
 public:
  Birthplace() noexcept;
  // False in a child of fork(), and in children of that. One of a bare clone() or vfork()
  // is not told apart.
  bool here() const noexcept;

 private:
  std::uint32_t forks_;  // by which this process and its parents came to be
};

}  // namespace carrel
