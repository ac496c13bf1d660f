#include "birth.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>
#include <utility>

#include "keeper.h"
#include "no_forks.h"

namespace carrel::process {
namespace {

constexpr const char* kMarker = "--carrel-process-server";
constexpr const char* kOrNoHook =
    ", or, where the program is executed again, main does not call carrel::main_hook()";

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kShared = 0;  // see spawner.cc
#else
constexpr int kShared = CLONE_VM;
#endif

struct Ends {
  UniqueFd host_side;
  UniqueFd server_side;
  UniqueFd host_pidfd;
};

Result<Ends> make_ends() {
  FdPair pair = socket_pair(SOCK_SEQPACKET);
  if (!pair.first)
    return os_error(Code::kUnavailable, "no socket for the process server", errno);
  UniqueFd self =
      above_stdio(UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0))));
  if (!self)
    return os_error(Code::kUnsupported, "no pidfd for the process server", errno);
  return Ends{std::move(pair.first), std::move(pair.second), std::move(self)};
}

// What the host has of a server that has not spoken yet.
struct Newborn {
  UniqueFd control;
  UniqueFd keeper;  // its pidfd
};

// With the keeper a server that is not ready dies (keeper.cc).
Error give_up(const Newborn& newborn, std::string why) {
  syscall(SYS_pidfd_send_signal, newborn.keeper.get(), SIGKILL, nullptr, 0);
  return {Code::kUnavailable, "the process server was killed: " + std::move(why),
          "process"};
}

Result<Born> greet(Newborn newborn, std::chrono::milliseconds within,
                   const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  const int control = newborn.control.get();
  const auto until = Clock::now() + within;
  int ready = 0;
  {
    const std::stop_callback wake(stop, [control] { shutdown(control, SHUT_RD); });
    pollfd readable{control, POLLIN, 0};
    do {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
      ready = poll(&readable, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
    } while (ready < 0 && errno == EINTR);
  }
  if (stop.stop_requested()) {
    return tl::unexpected<Error>(give_up(newborn, "nobody waits for it any more"));
  }
  if (ready <= 0) {
    return tl::unexpected<Error>(
        give_up(newborn, "it was not ready within " + std::to_string(within.count()) +
                             " ms; its setup or a preload hangs" + kOrNoHook));
  }
  std::vector<char> buffer(kMaxHello);
  Received received;
  receive_message(control, buffer, received);
  Hello hello;
  if (received.size <= 0 ||
      !decode({buffer.data(), static_cast<std::size_t>(received.size)}, hello)) {
    return fail(
        Code::kUnavailable,
        std::string("the process server ended before it was ready; its setup or a "
                    "preload ended it") +
            kOrNoHook,
        "process");
  }
  if (!hello.error.empty()) {
    return fail(Code::kInvalid, "the process server's " + hello.error, "process");
  }
  return Born{std::move(newborn.control), std::move(hello.kinds)};
}

// Ends a go-between. A sanitizer's own _exit() would look for what the host has not
// joined, and change the code.
[[noreturn]] CARREL_BARE_STACK void leave(int status) {
  while (true) syscall(SYS_exit_group, status);
}

// In a go-between, whose child `pid` is: it has not been waited for. -1, with errno; then
// it is killed.
CARREL_BARE_STACK int hold_keeper(pid_t pid) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) {
    const int error = errno;
    kill(pid, SIGKILL);
    errno = error;
  }
  return fd;
}

// Waits for the go-between, which no wait of the host's own sees: it has no exit signal.
int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, __WALL) < 0) {
    if (errno != EINTR) return errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EAGAIN;
}

// Shared with the go-between, and with what it executes.
struct Execution {
  int control;
  int host;
  char* argv[3];
  char** environment;
  void* stack_top;
  int error;
  int keeper;  // a descriptor of the host
};

CARREL_BARE_STACK int execute(void* argument) {
  auto& e = *static_cast<Execution*>(argument);
  e.error = take_places(e.control, e.host, 0);
  if (e.error != 0) leave(127);
  execve("/proc/self/exe", e.argv, e.environment);
  e.error = errno;
  leave(127);
}

// The go-between: its end makes the server an orphan. Its descriptors are the host's own.
CARREL_BARE_STACK int execute_orphan(void* argument) {
  auto& e = *static_cast<Execution*>(argument);
  const pid_t pid =
      clone(execute, e.stack_top, kShared | CLONE_VFORK | SIGCHLD, argument);
  if (pid > 0 && e.error == 0) e.keeper = hold_keeper(pid);
  if (pid < 0 || (e.error == 0 && e.keeper < 0)) e.error = errno;
  leave(0);
}

class Mapping {
 public:
  Mapping(std::size_t size, int flags) : size_(size) {
    void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED) memory_ = p;
  }
  ~Mapping() {
    if (memory_ != nullptr) munmap(memory_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  void* begin() const { return memory_; }
  void* end() const { return static_cast<char*>(memory_) + size_; }

 private:
  std::size_t size_;
  void* memory_ = nullptr;
};

}  // namespace

Result<Born> fork_server(const ServerSetup& setup, std::chrono::milliseconds within) {
  auto ends = make_ends();
  if (!ends) return tl::unexpected<Error>(std::move(ends.error()));
  const Mapping shared(sizeof(int), MAP_SHARED);
  if (shared.begin() == nullptr)
    return os_error(Code::kUnavailable, "no memory for the process server", errno);
  auto& keeper = *static_cast<int*>(shared.begin());
  // What is in the buffers now must not be printed by the server's children as well.
  std::fflush(stdout);
  std::fflush(stderr);
  std::cout.flush();
  std::clog.flush();
  {
    const SignalsBlocked blocked;
    // Exit signal 0. The go-between lives for one fork(), whose child is whole again; its
    // descriptors are the host's own.
    const auto between = static_cast<pid_t>(syscall(SYS_clone, CLONE_FILES, 0, 0, 0, 0));
    if (between == 0) {
      // No server needs it, nor should each child copy it.
      madvise(shared.begin(), sizeof(int), MADV_DONTFORK);
      const pid_t pid = fork();
      if (pid == 0) {
        keep(std::move(ends->server_side), std::move(ends->host_pidfd), setup);
      }
      if (pid > 0) keeper = hold_keeper(pid);
      leave(pid > 0 && keeper >= 0 ? 0 : errno);
    }
    const int error = between < 0 ? errno : wait_for(between);
    if (error != 0)
      return os_error(Code::kUnavailable, "the process server cannot be forked", error);
  }
  ends->server_side.reset();
  return greet({std::move(ends->host_side), above_stdio(UniqueFd(keeper))}, within, {});
}

Result<Born> execute_server(std::stop_token stop, std::chrono::milliseconds within) {
  constexpr std::size_t kStack = 64 * 1024;
  const Mapping stacks(2 * kStack, MAP_PRIVATE | MAP_STACK);
  const Mapping shared(sizeof(Execution), MAP_SHARED);
  if (stacks.begin() == nullptr || shared.begin() == nullptr) {
    return os_error(Code::kUnavailable, "no memory for the process server", ENOMEM);
  }
  std::string name = program_invocation_name;
  std::string marker = kMarker;
  std::optional<NoForks> no_forks(std::in_place);
  auto ends = make_ends();
  if (!ends) return tl::unexpected<Error>(std::move(ends.error()));
  auto& e = *static_cast<Execution*>(shared.begin());
  e = {ends->server_side.get(),
       ends->host_pidfd.get(),
       {name.data(), marker.data(), nullptr},
       environ,
       static_cast<char*>(stacks.begin()) + kStack,
       0,
       -1};
  int error = 0;
  {
    const SignalsBlocked blocked;
    const pid_t between =
        clone(execute_orphan, stacks.end(), kShared | CLONE_VFORK | CLONE_FILES, &e);
    error = between < 0 ? errno : wait_for(between);
  }
  if (error == 0) error = e.error;
  if (error != 0) {
    return os_error(Code::kUnavailable,
                    "this program cannot be executed again as the process server", error);
  }
  ends->server_side.reset();
  no_forks.reset();
  return greet({std::move(ends->host_side), above_stdio(UniqueFd(e.keeper))}, within,
               stop);
}

void serve_if_asked(int argc, char** argv, const ServerSetup& setup) {
  if (argc != 2 || std::strcmp(argv[1], kMarker) != 0) return;
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(kControl, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_SEQPACKET) {
    std::fprintf(stderr, "%s: %s is for the library's own use\n", argv[0], kMarker);
    _exit(2);
  }
  const std::string threads = other_threads();
  if (!threads.empty()) {
    refuse_to_keep(kControl,
                   "program has other threads before main calls carrel::main_hook(), "
                   "which its jobs would not have, but what those hold: " +
                       threads);
  }
  keep(UniqueFd(kControl), UniqueFd(kHost), setup);
}

}  // namespace carrel::process
