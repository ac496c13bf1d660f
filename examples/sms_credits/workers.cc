#include "workers.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>

extern char** environ;

namespace sms {
namespace {

// One line, without its end; empty: the other side has closed.
std::string read_line(int fd) {
  std::string line;
  for (char c = 0; ::read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

}  // namespace

Workers::Workers(std::filesystem::path folder, std::size_t count)
    : folder_(std::move(folder)), processes_(count) {
  std::signal(SIGPIPE, SIG_IGN);  // a worker that was killed does not read
  for (std::size_t i = 0; i < count; ++i) processes_[i] = spawn(i);
  for (const Process& process : processes_) {
    if (read_line(process.from) != "ready") throw std::runtime_error("a worker failed");
  }
  for (std::size_t i = 0; i < count; ++i) watchers_.emplace_back([this, i] { watch(i); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (Process& process : processes_) {
      if (process.to >= 0) ::close(process.to);
      process.to = -1;
    }
  }
  for (std::thread& watcher : watchers_) watcher.join();
  for (const Process& process : processes_) ::close(process.from);
}

void Workers::begin() {
  const std::lock_guard lock(mutex_);
  for (const Process& process : processes_) std::ignore = ::write(process.to, "go\n", 3);
}

void Workers::wait_until_done() {
  for (const Process& process : processes_) {
    if (read_line(process.from) != "done") throw std::runtime_error("a worker failed");
  }
}

std::size_t Workers::kills() {
  const std::lock_guard lock(mutex_);
  return kills_;
}

Workers::Process Workers::spawn(std::size_t number) const {
  int in[2];
  int out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipe for a worker");
  }
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::vector<std::string> words = {self, "--worker", folder_.string(),
                                    std::to_string(number)};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
  Process process{-1, in[1], out[0]};
  const int error =
      ::posix_spawn(&process.pid, argv[0], &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  ::close(in[0]);
  ::close(out[1]);
  if (error != 0) throw std::runtime_error("cannot start a worker");
  return process;
}

void Workers::watch(std::size_t number) {
  while (true) {
    pid_t pid = 0;
    {
      const std::lock_guard lock(mutex_);
      pid = processes_[number].pid;
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    const std::lock_guard lock(mutex_);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ++kills_;
    if (ending_ || !WIFSIGNALED(status)) return;
    ::close(processes_[number].to);
    ::close(processes_[number].from);
    processes_[number] = spawn(number);
  }
}

}  // namespace sms
