// The process that something works in. A child of fork() has a copy of it, with locks
// that other threads held and without the threads that it needs: nothing may be asked of
// that.
#pragma once

#include <atomic>
#include <cstdint>

namespace carrel {

// Threads: safe. A look is a load; a fork() costs no page more.
class Birthplace {
 public:
  // It is in this process from here on, unless it was in one already.
  void settle() noexcept;
  // True before settle(). False in a process with a copy of this memory, as a child of
  // fork() is, and in its children. True in that of a vfork(), which has the memory
  // itself; and everywhere where the kernel does not tell (MADV_WIPEONFORK, Linux 4.14).
  bool here() const noexcept;

 private:
  std::atomic<std::uint32_t> number_{0};  // of the process; 0: not settled
};

}  // namespace carrel
