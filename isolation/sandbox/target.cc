#include "target.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "confine.h"
#include "os.h"
#include "self_check.h"
#include "spawner.h"

namespace carrel::sandbox {
namespace {

using Stage = process::Reply::Stage;

[[noreturn]] CARREL_BARE_STACK void give_up(Target& target, Stage stage, int error) {
  target.error = error;
  target.stage = stage;
  _exit(127);
}

// Never above what the host itself is held to: nobody may raise that.
CARREL_BARE_STACK bool limit(int resource, std::uint64_t soft, std::uint64_t hard) {
  const auto which = static_cast<__rlimit_resource_t>(resource);
  rlimit value{};
  if (getrlimit(which, &value) != 0) return false;
  if (hard < value.rlim_max) value.rlim_max = hard;
  value.rlim_cur = soft < value.rlim_max ? soft : value.rlim_max;
  return setrlimit(which, &value) == 0;
}

CARREL_BARE_STACK bool limit(int resource, std::uint64_t value) {
  return value == 0 || limit(resource, value, value);
}

CARREL_BARE_STACK bool set_limits(const Limits& limits) {
  // Where the kernel pipes cores to a program, a limit of 0 does not stop it, but 1 does.
  return limit(RLIMIT_CORE, 1) && limit(RLIMIT_RTPRIO, 0, 0) &&
         limit(RLIMIT_NICE, 0, 0) && limit(RLIMIT_MEMLOCK, 1 << 16) &&
         limit(RLIMIT_MSGQUEUE, 1 << 16) && limit(RLIMIT_SIGPENDING, 1 << 10) &&
         (limits.cpu_seconds == 0 ||
          limit(RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1)) &&
         limit(RLIMIT_STACK, limits.stack) && limit(RLIMIT_NOFILE, limits.open_files) &&
         limit(RLIMIT_FSIZE, limits.fsize) &&
         // The sandbox's first process is one of its user's too.
         (limits.nproc == 0 || limit(RLIMIT_NPROC, limits.nproc + 1)) &&
         limit(RLIMIT_AS, limits.address_space);
}

CARREL_BARE_STACK bool drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
         syscall(SYS_capset, &header, none) == 0;
}

// Runs in the child, on the parent's memory: only system calls, until the execve.
CARREL_BARE_STACK int run(void* argument) {
  auto& target = *static_cast<Target*>(argument);
  const Plan& plan = *target.plan;
  setsid();
  for (int i = 0; i < 4 && target.job != nullptr; ++i) dup2(target.fds[i], i);
  if (target.job != nullptr && target.job->cwd != nullptr &&
      chdir(target.job->cwd) != 0) {
    give_up(target, Stage::kChangeFolder, errno);
  }
  if (!set_limits(plan.limits)) give_up(target, Stage::kLimits, errno);
  if (target.drop_user) {
    // The system calls themselves: the library's would tell all threads of the parent.
    if (syscall(SYS_setgroups, 0, nullptr) != 0 ||
        syscall(SYS_setresgid, plan.user, plan.user, plan.user) != 0 ||
        syscall(SYS_setresuid, plan.user, plan.user, plan.user) != 0) {
      give_up(target, Stage::kIdentity, errno);
    }
  }
  // In namespaces the kernel ends it with the box, which is confined, and so is this.
  if (!plan.namespaces) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // only now: a change of user undoes it
    if (getppid() != target.parent) _exit(127);
    const Stage refused = confine(target.ruleset, target.filter);
    if (refused != Stage::kNone) give_up(target, refused, errno);
  }
  close_range(4, ~0U, 0);
  if (!drop_capabilities()) give_up(target, Stage::kCapabilities, errno);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (target.job == nullptr) {
    const Stage weak = check_self(plan, !target.filter.empty(), target.ruleset >= 0);
    if (weak != Stage::kNone) give_up(target, weak, 0);
    _exit(0);
  }
  execve(target.job->path, target.job->argv.data(), target.job->env.data());
  give_up(target, Stage::kExecute, errno);
}

}  // namespace

pid_t launch(Target& target) noexcept {
  constexpr std::size_t kStack = 64 * 1024;
  static void* const stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  // Shared, for where the child has memory of its own.
  static void* const memory = mmap(nullptr, sizeof(Target), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  target.stage = Stage::kNone;
  target.error = 0;
  target.parent = getpid();
  if (stack == MAP_FAILED || memory == MAP_FAILED) {
    target.error = ENOMEM;
    return -1;
  }
  auto& shared = *new (memory) Target(target);
  const pid_t pid =
      clone(run, static_cast<char*>(stack) + kStack, process::kLaunchFlags, &shared);
  if (pid < 0) {
    target.error = errno;
    return -1;
  }
  target.error = shared.error;
  target.stage = shared.stage;
  if (target.stage == Stage::kNone) return pid;
  waitpid(pid, nullptr, 0);
  return -1;
}

}  // namespace carrel::sandbox
