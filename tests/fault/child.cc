#include "child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <thread>
#include <utility>

extern char** environ;

namespace carrel::fault {

Child::Child(const std::vector<std::string>& command) {
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipe for " + command.at(0));
  }
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  // The driver ignores SIGPIPE, which exec would hand down.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t pipe_signal;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error =
      posix_spawn(&pid_, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  to_ = in[1];
  from_ = out[0];
  if (error != 0) throw std::runtime_error("cannot start " + command[0]);
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
}

Child::Child(Child&& other) noexcept { *this = std::move(other); }

Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(to_, other.to_);
  std::swap(from_, other.from_);
  std::swap(status_, other.status_);
  std::swap(stopped_, other.stopped_);
  return *this;
}

Child::~Child() {
  if (pid_ > 0 && !status_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close_pipes();
  if (pidfd_ >= 0) close(pidfd_);
}

void Child::close_pipes() noexcept {
  end_input();
  if (from_ >= 0) close(std::exchange(from_, -1));
}

void Child::end_input() {
  if (to_ >= 0) close(std::exchange(to_, -1));
}

void Child::tell(const std::string& line) {
  const std::string text = line + "\n";
  // It may be dead by now; its end is seen elsewhere.
  static_cast<void>(!write(to_, text.data(), text.size()));
}

std::string Child::wait_line() {
  std::string line;
  for (char c = 0; read(from_, &c, 1) == 1 && c != '\n';) line.push_back(c);
  return line;
}

bool Child::has_output(std::chrono::milliseconds patience) const {
  pollfd output{from_, POLLIN, 0};
  return ::poll(&output, 1, static_cast<int>(patience.count())) > 0;
}

void Child::signal(int number) const {
  if (!status_) kill(pid_, number);
}

// waitpid with what it does not have: a time. A stop makes no event on a pidfd, so that
// one is asked for every few milliseconds.
bool Child::poll(std::chrono::milliseconds patience, int what) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    int status = 0;
    if (!status_ && waitpid(pid_, &status, WNOHANG | what) == pid_) {
      if (WIFSTOPPED(status)) {
        stopped_ = true;
      } else {
        status_ = status;
      }
    }
    if (status_ || (what != 0 && stopped_)) return true;
    if (std::chrono::steady_clock::now() >= until) return false;
    pollfd end{pidfd_, POLLIN, 0};
    ::poll(&end, 1, 5);
  }
}

std::optional<int> Child::wait_end(std::chrono::milliseconds patience) {
  poll(patience, 0);
  return status_;
}

bool Child::wait_stopped(std::chrono::milliseconds patience) {
  stopped_ = false;
  poll(patience, WUNTRACED);
  return stopped_;
}

}  // namespace carrel::fault
