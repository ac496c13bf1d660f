// Small wrappers over the kernel's calls that the process server and its clients share.
#pragma once

#include <carrel/result.h>
#include <signal.h>
#include <sys/time.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace carrel::process {

// For what runs on a stack made for clone(): a sanitizer does not know that stack.
#define CARREL_BARE_STACK __attribute__((no_sanitize("address", "undefined", "thread")))

// Owns one descriptor; -1: none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;  // keeps errno

 private:
  int fd_ = -1;
};

// One end of a connected socket. Its end is the peer's, too, also where a process that
// this one has forked holds a copy.
class UniqueSocket {
 public:
  UniqueSocket() = default;
  explicit UniqueSocket(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  UniqueSocket(UniqueSocket&&) noexcept = default;
  UniqueSocket& operator=(UniqueSocket&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  ~UniqueSocket() { reset(); }

  int get() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  void reset() noexcept;  // keeps errno

 private:
  UniqueFd fd_;
};

struct FdPair {
  UniqueFd first;
  UniqueFd second;
};

// The same with a number above those of stdio, which a host may have closed; it is closed
// on exec. Empty: errno says why, or it was before.
UniqueFd above_stdio(UniqueFd fd) noexcept;

// While it lives no handler of the host runs in this thread, so none runs in a child that
// it forks either.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept;
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Blocks every signal, and gives each its default action: for a process that was forked.
void reset_signals() noexcept;

// exit() prints what this process has buffered and ends it: no exit function that was
// registered before runs, and no destructor but of thread_local objects of the thread
// that calls it. quick_exit() likewise, and prints nothing; its code is lost, it is 1.
// For a process that was forked.
void leave_at_exit() noexcept;

// "No such file or directory (errno 2)"
std::string errno_text(int error);
// An Error of `code` that says "`what`: <errno's text>" and keeps the number.
tl::unexpected<Error> os_error(Code code, std::string_view what, int error);

// Both close on exec, and are above stdio, as is all of this file. `type`: SOCK_STREAM,
// SOCK_SEQPACKET. On failure errno is set and both are empty.
FdPair socket_pair(int type) noexcept;
// Likewise; only our end is non-blocking: a program must not find its own end so.
FdPair read_pipe() noexcept;   // first: ours, non-blocking; second: the child's
FdPair write_pipe() noexcept;  // first: ours, non-blocking; second: the child's

// Whether any process has the other end of this pipe or stream open. Of -1: no.
bool other_end_open(int fd) noexcept;

// A file in memory that holds `bytes`, at offset 0. Empty: errno says why.
UniqueFd memory_file(std::string_view bytes) noexcept;
// All of it, by pread. False: it could not be read.
bool read_memory_file(int fd, std::string& out);

inline constexpr std::size_t kMaxFds = 240;  // the kernel's own bound is 253

// One message with descriptors on a SEQPACKET socket; never blocks, never raises SIGPIPE.
// 0: sent; else errno.
int send_message(int socket, std::string_view bytes, std::span<const int> fds) noexcept;

// How long a message on this SEQPACKET socket may be; sysctl net.core.wmem_default bounds
// it.
std::size_t longest_message(int socket) noexcept;

struct Received {
  long size = -1;  // bytes; 0: the other end is closed; -1: `error`
  int error = 0;
  bool truncated = false;  // descriptors were lost: this process has no more of them
  std::size_t fd_count = 0;
  std::array<int, kMaxFds> fds;  // owned by the caller, close on exec
};
// Blocks only if asked to.
void receive_message(int socket, std::span<char> buffer, Received& into,
                     bool block = false) noexcept;

// The names of this process's threads, its own first. Empty: /proc is not there.
std::vector<std::string> thread_names();
// Those of the others, each in quotes; "": there is none. In a sanitizer's build, its own
// counts for nothing.
std::string other_threads();
// Microseconds.
std::uint64_t microseconds(const timeval& time) noexcept;
std::uint64_t resident_bytes();  // of this process; 0: not known
std::uint64_t mapped_bytes();    // its address space; likewise

}  // namespace carrel::process
