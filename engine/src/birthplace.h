// The process in which something was made. A child of fork() has a copy of it, with locks
// that other threads held and without the threads that it needs: nothing may be asked of
// that.
#pragma once

#include <atomic>
#include <cstdint>

namespace carrel {

// Threads: safe. A look is a load; a fork() costs no page more.
class Birthplace {
 public:
  Birthplace() noexcept;
  // False in a process with a copy of this memory, as a child of fork() is, and in its
  // children. True in that of a vfork(), which has the memory itself; and everywhere
  // where the kernel does not tell (MADV_WIPEONFORK, Linux 4.14).
  bool here() const noexcept { return mark_ == nullptr || mark_->load() == number_; }

 private:
  const std::atomic<std::uint32_t>* mark_;
  std::uint32_t number_ = 0;
};

}  // namespace carrel
