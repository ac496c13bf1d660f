#include "trial/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

extern char** environ;

namespace trial {
namespace {

using std::chrono::steady_clock;

sigset_t awaited_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGCHLD, SIGINT, SIGTERM}) sigaddset(&set, signal);
  return set;
}

// Whoever is a child of this process now; orphans come here as their parents die.
void kill_children() {
  std::ifstream in("/proc/thread-self/children");
  for (pid_t pid = 0; in >> pid;) ::kill(pid, SIGKILL);
}

carrel::Result<pid_t> spawn(const std::vector<std::string>& argv,
                            const std::filesystem::path& log) {
  std::vector<char*> args;
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  args.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, args[0], &files, &attributes, args.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    return carrel::fail(carrel::Code::kInternal,
                        "cannot start " + argv[0] + ": " + std::strerror(error), {},
                        error);
  }
  return pid;
}

// Waits for one of the awaited signals; 0: `deadline` passed.
int next_signal(steady_clock::time_point deadline) {
  const sigset_t set = awaited_signals();
  while (true) {
    const auto left = std::max(deadline - steady_clock::now(), steady_clock::duration{0});
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const timespec wait{ns / 1'000'000'000, ns % 1'000'000'000};
    const int signal = ::sigtimedwait(&set, nullptr, &wait);
    if (signal > 0) return signal;
    if (errno == EAGAIN) return 0;
  }
}

}  // namespace

void become_reaper() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const sigset_t set = awaited_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void die_with_parent() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

void begin(const std::filesystem::path& folder) {
  die_with_parent();
  ::setenv("TMPDIR", folder.c_str(), 1);
}

carrel::Result<ChildReport> run_child(const std::vector<std::string>& argv,
                                      const std::filesystem::path& log,
                                      std::chrono::milliseconds timeout) {
  const auto pid = spawn(argv, log);
  if (!pid) return tl::unexpected(pid.error());
  auto deadline = steady_clock::now() + timeout;
  ChildReport report;
  bool interrupted = false;
  while (true) {
    rusage usage{};
    int status = 0;
    const pid_t ended = ::wait4(-1, &status, WNOHANG, &usage);
    if (ended == *pid) {
      report.status = status;
    } else if (ended > 0) {
      const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
      };
      report.orphans_cpu_s += seconds(usage.ru_utime) + seconds(usage.ru_stime);
      report.orphans_peak_bytes = std::max(
          report.orphans_peak_bytes, static_cast<std::uint64_t>(usage.ru_maxrss) * 1024);
    } else if (ended < 0) {
      break;  // ECHILD: nobody is left
    } else {
      const int signal = next_signal(deadline);
      if (signal == SIGCHLD) continue;
      interrupted = interrupted || signal != 0;
      report.timed_out = report.timed_out || signal == 0;
      kill_children();
      // Each death may hand down grandchildren: look again soon, until nobody is left.
      deadline = steady_clock::now() + std::chrono::milliseconds(50);
    }
  }
  if (interrupted) return carrel::fail(carrel::Code::kCancelled, "interrupted");
  return report;
}

}  // namespace trial
