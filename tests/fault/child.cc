#include "child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

extern char** environ;

namespace carrel::fault {
namespace {

std::string new_mark() {
  static std::atomic<int> count{0};
  return std::string(kMark) + "=" + std::to_string(getpid()) + "-" +
         std::to_string(++count);
}

std::vector<char*> environment_with(const std::string& mark) {
  const std::string before = std::string(kMark) + "=";
  std::vector<char*> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with(before)) all.push_back(*entry);
  }
  all.push_back(const_cast<char*>(mark.c_str()));
  all.push_back(nullptr);
  return all;
}

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A zombie has no environment any more.
std::vector<pid_t> processes_with(const std::string& mark) {
  const std::string entry = mark + '\0';
  std::vector<pid_t> found;
  for (const auto& folder : std::filesystem::directory_iterator("/proc")) {
    const std::string name = folder.path().filename();
    pid_t pid = 0;
    const auto [end, error] =
        std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size()) continue;
    if (content(folder.path() / "environ").find(entry) != std::string::npos) {
      found.push_back(pid);
    }
  }
  return found;
}

int ms_until(std::chrono::steady_clock::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(
      end - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

int open_pidfd(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

}  // namespace

Child::Child(const std::vector<std::string>& command) : mark_(new_mark()) {
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
  const int error = posix_spawn(&pid_, argv[0], &actions, &attributes, argv.data(),
                                environment_with(mark_).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  to_ = in[1];
  from_ = out[0];
  if (error != 0) throw std::runtime_error("cannot start " + command[0]);
  pidfd_ = open_pidfd(pid_);
}

Child::Child(Child&& other) noexcept { *this = std::move(other); }

Child& Child::operator=(Child&& other) noexcept {
  std::swap(mark_, other.mark_);
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

std::vector<std::string> Child::wait_all_gone(std::chrono::milliseconds patience) const {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const bool last = ms_until(end) == 0;
    const auto left = processes_with(mark_);
    if (left.empty() || last) {
      std::vector<std::string> names;
      for (const pid_t pid : left) {
        std::string name = content("/proc/" + std::to_string(pid) + "/comm");
        name.erase(std::min(name.find('\n'), name.size()));
        names.push_back(std::to_string(pid) + " (" + name + ")");
      }
      return names;
    }
    // What they have forked meanwhile, the next look finds.
    for (const pid_t pid : left) {
      const int pidfd = open_pidfd(pid);
      pollfd ended{pidfd, POLLIN, 0};
      if (pidfd >= 0) ::poll(&ended, 1, ms_until(end));
      if (pidfd >= 0) close(pidfd);
    }
  }
}

bool Child::wait_stopped(std::chrono::milliseconds patience) {
  stopped_ = false;
  poll(patience, WUNTRACED);
  return stopped_;
}

}  // namespace carrel::fault
