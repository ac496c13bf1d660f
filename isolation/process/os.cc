#include "os.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <thread>

namespace carrel::process {
namespace {

// Both, or none.
FdPair above_stdio(FdPair pair) noexcept {
  FdPair out{process::above_stdio(std::move(pair.first)),
             process::above_stdio(std::move(pair.second))};
  return out.first && out.second ? std::move(out) : FdPair{};
}

// Sets O_NONBLOCK on `ours` only: the flag belongs to each end, and a program must not
// find its own end non-blocking.
FdPair pipe_with(int ours_index) noexcept {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  FdPair pair = above_stdio({UniqueFd(ends[ours_index]), UniqueFd(ends[1 - ours_index])});
  if (!pair.first) return {};
  const int access = ours_index == 0 ? O_RDONLY : O_WRONLY;
  if (fcntl(pair.first.get(), F_SETFL, access | O_NONBLOCK) != 0) return {};
  return pair;
}

// A handler that calls exit() ends its own process and nothing else. Registered last,
// this runs before what its host had registered.
void leave_at_once(int status, void* /*unused*/) {
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(status);
}

}  // namespace

void UniqueFd::reset(int fd) noexcept {
  if (fd_ >= 0) {
    const int saved = errno;
    ::close(fd_);
    errno = saved;
  }
  fd_ = fd;
}

void UniqueSocket::reset() noexcept {
  if (!fd_) return;
  const int saved = errno;
  shutdown(fd_.get(), SHUT_RDWR);
  fd_.reset();
  errno = saved;
}

UniqueFd above_stdio(UniqueFd fd) noexcept {
  if (!fd || fd.get() > STDERR_FILENO) return fd;
  return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

SignalsBlocked::SignalsBlocked() noexcept {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

void reset_signals() noexcept {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
}

void leave_at_exit() noexcept {
  on_exit(leave_at_once, nullptr);
  std::at_quick_exit([] { _exit(1); });
}

std::string errno_text(int error) {
  char buffer[128];
  return std::string(strerror_r(error, buffer, sizeof buffer)) + " (errno " +
         std::to_string(error) + ")";
}

tl::unexpected<Error> os_error(Code code, std::string_view what, int error) {
  return fail(code, std::string(what) + ": " + errno_text(error), "process", error);
}

FdPair socket_pair(int type) noexcept {
  int ends[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) return {};
  return above_stdio({UniqueFd(ends[0]), UniqueFd(ends[1])});
}

FdPair read_pipe() noexcept { return pipe_with(0); }
FdPair write_pipe() noexcept { return pipe_with(1); }

bool other_end_open(int fd) noexcept {
  if (fd < 0) return false;
  pollfd polled{fd, 0, 0};
  return poll(&polled, 1, 0) < 0 || (polled.revents & (POLLHUP | POLLERR)) == 0;
}

UniqueFd memory_file(std::string_view bytes) noexcept {
  UniqueFd file = above_stdio(UniqueFd(memfd_create("carrel-job", MFD_CLOEXEC)));
  if (!file) return file;
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = pwrite(file.get(), bytes.data() + done, bytes.size() - done,
                             static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return {};
    done += static_cast<std::size_t>(n);
  }
  return file;
}

bool read_memory_file(int fd, std::string& out) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return false;
  out.resize(static_cast<std::size_t>(info.st_size));
  for (std::size_t done = 0; done < out.size();) {
    const ssize_t n =
        pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

int send_message(int socket, std::string_view bytes, std::span<const int> fds) noexcept {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  for (;;) {
    const ssize_t n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    // A stream may have room for some of it only, and no other part may follow.
    if (n >= 0) return static_cast<std::size_t>(n) == bytes.size() ? 0 : EMSGSIZE;
    if (errno != EINTR) return errno;
  }
}

std::size_t longest_message(int socket) noexcept {
  constexpr std::size_t kKernelsOwn = 32;  // unix_dgram_sendmsg()
  int buffer = 0;
  socklen_t size = sizeof buffer;
  if (getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &buffer, &size) != 0) return 0;
  return static_cast<std::size_t>(buffer) - kKernelsOwn;
}

void receive_message(int socket, std::span<char> buffer, Received& into,
                     bool block) noexcept {
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  into.error = 0;
  into.fd_count = 0;
  do {
    into.size = recvmsg(socket, &message, (block ? 0 : MSG_DONTWAIT) | MSG_CMSG_CLOEXEC);
  } while (into.size < 0 && errno == EINTR);
  if (into.size < 0) {
    into.error = errno;
    return;
  }
  into.truncated = (message.msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count =
        std::min((h->cmsg_len - CMSG_LEN(0)) / sizeof(int), kMaxFds - into.fd_count);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
      UniqueFd received = above_stdio(UniqueFd(fd));
      if (received) {
        into.fds[into.fd_count++] = received.release();
      } else {
        into.truncated = true;
      }
    }
  }
}

std::vector<std::string> thread_names() {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir("/proc/self/task"), closedir);
  if (!dir) return names;
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] == '.') continue;
    std::ifstream comm(std::string("/proc/self/task/") + entry->d_name + "/comm");
    std::string name;
    if (!std::getline(comm, name)) continue;  // it ended meanwhile
    const bool own = std::to_string(getpid()) == entry->d_name;
    names.insert(own ? names.begin() : names.end(), std::move(name));
  }
  return names;
}

std::string other_threads() {
#if defined(__SANITIZE_THREAD__)
  constexpr std::size_t kAllowed = 2;
#else
  constexpr std::size_t kAllowed = 1;
#endif
  std::string list;
  auto names = thread_names();
  // One that was waited for is still in /proc for a moment.
  for (int looks = 0; names.size() > kAllowed && looks < 100; ++looks) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    names = thread_names();
  }
  if (names.size() <= kAllowed) return list;
  for (std::size_t i = 1; i < names.size(); ++i) {
    list += (i > 1 ? ", \"" : "\"") + names[i] + "\"";
  }
  return list;
}

namespace {
std::uint64_t memory_bytes(int field) {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  for (int i = 0; i <= field; ++i) statm >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}
}  // namespace

std::uint64_t microseconds(const timeval& time) noexcept {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(time.tv_usec);
}

std::uint64_t mapped_bytes() { return memory_bytes(0); }
std::uint64_t resident_bytes() { return memory_bytes(1); }

}  // namespace carrel::process
