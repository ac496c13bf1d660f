#include "spawner.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "os.h"

namespace carrel::process {
namespace {

// In memory that parent and child share, however the child was made.
struct Start {
  const SpawnJob* job;
  int fds[4];
  pid_t parent;
  int error;
  Reply::Stage stage;
};

[[noreturn]] CARREL_BARE_STACK void give_up(Start& launch, Reply::Stage stage) {
  launch.error = errno;
  launch.stage = stage;
  _exit(127);
}

// Runs in the child, on the parent's memory: nothing here may outlive the execve.
CARREL_BARE_STACK int launch_child(void* argument) {
  auto& launch = *static_cast<Start*>(argument);
  become_leader(launch.parent);
  for (int i = 0; i < 4; ++i) dup2(launch.fds[i], i);
  close_range(4, ~0U, 0);
  if (launch.job->cwd != nullptr && chdir(launch.job->cwd) != 0) {
    give_up(launch, Reply::Stage::kChangeFolder);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(launch.job->path, launch.job->argv.data(), launch.job->env.data());
  give_up(launch, Reply::Stage::kExecute);
}

struct Workspace {
  static constexpr std::size_t kStack = 64 * 1024;
  Start* launch = nullptr;
  char* stack_top = nullptr;

  Workspace() {
    void* shared = mmap(nullptr, sizeof(Start), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (shared == MAP_FAILED || stack == MAP_FAILED) return;
    launch = static_cast<Start*>(shared);
    stack_top = static_cast<char*>(stack) + kStack;
  }
};

}  // namespace

CARREL_BARE_STACK void become_leader(pid_t parent) noexcept {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above
  setsid();
}

Spawned spawn(const SpawnJob& job, std::span<const int, 4> fds) {
  static const Workspace workspace;
  Spawned out;
  if (workspace.launch == nullptr) {
    out.error = ENOMEM;
    return out;
  }
  Start& launch = *workspace.launch;
  launch = {&job, {fds[0], fds[1], fds[2], fds[3]}, getpid(), 0, Reply::Stage::kNone};
  out.pid = clone(launch_child, workspace.stack_top, kLaunchFlags, &launch);
  if (out.pid < 0) {
    out.error = errno;
    return out;
  }
  // CLONE_VFORK: the child has executed the program or ended by now.
  if (launch.error != 0) {
    waitpid(out.pid, nullptr, 0);
    out.pid = -1;
    out.error = launch.error;
    out.stage = launch.stage;
  }
  return out;
}

}  // namespace carrel::process
