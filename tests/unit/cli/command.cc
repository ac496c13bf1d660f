#include "command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace carrel::cli_test {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read = ends[0];
    write = ends[1];
  }
  int read = -1;
  int write = -1;
};

// The environment of the test, but for what would configure the command, which is found.
std::vector<std::string> environment() {
  const char* path = std::getenv("PATH");
  std::vector<std::string> all{
      "NO_COLOR=1", "TERM=dumb",
      "PATH=" + std::filesystem::path(CARREL_COMMAND).parent_path().string() + ":" +
          (path != nullptr ? path : "/usr/bin:/bin")};
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view variable = *at;
    if (variable.starts_with("PATH=")) continue;
    if (!variable.starts_with("CARREL_") || variable.starts_with("CARREL_MODULE_PATH=")) {
      all.emplace_back(variable);
    }
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (std::string& s : strings) all.push_back(s.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

std::vector<std::string> Said::lines() const {
  std::vector<std::string> all;
  std::istringstream stream(out);
  for (std::string line; std::getline(stream, line);) all.push_back(line);
  return all;
}

std::vector<Json> Said::json() const {
  std::vector<Json> all;
  for (const std::string& line : lines()) {
    all.push_back(Json::parse(line, nullptr, false));
    EXPECT_FALSE(all.back().is_discarded()) << "not JSON: " << line;
  }
  return all;
}

Running::Running(const std::vector<std::string>& arguments,
                 const std::filesystem::path& folder, const std::string& input,
                 const std::string& program) {
  Pipe in;
  Pipe out;
  Pipe err;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write, 1);
  posix_spawn_file_actions_adddup2(&actions, err.write, 2);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  std::vector<std::string> argv{program};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::vector<std::string> env = environment();
  const int failed = posix_spawn(&pid_, program.c_str(), &actions, nullptr,
                                 pointers(argv).data(), pointers(env).data());
  posix_spawn_file_actions_destroy(&actions);
  close(in.read);
  close(out.write);
  close(err.write);
  EXPECT_EQ(failed, 0) << "cannot start " << program;
  if (failed != 0) pid_ = -1;
  // Inputs of these tests fit in a pipe.
  EXPECT_EQ(write(in.write, input.data(), input.size()),
            static_cast<ssize_t>(input.size()));
  close(in.write);
  out_ = out.read;
  err_ = err.read;
}

Running::~Running() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  for (int fd : {out_, err_}) {
    if (fd >= 0) close(fd);
  }
}

bool Running::read_some() {
  std::array<pollfd, 2> streams{{{out_, POLLIN, 0}, {err_, POLLIN, 0}}};
  if (out_ < 0 && err_ < 0) return false;
  if (poll(streams.data(), streams.size(), -1) < 0) return errno == EINTR;
  const auto take = [](const pollfd& stream, int& fd, std::string& to) {
    if (stream.revents == 0) return;
    std::array<char, 4096> buffer{};
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n > 0) {
      to.append(buffer.data(), static_cast<std::size_t>(n));
    } else if (n == 0) {
      close(fd);
      fd = -1;
    }
  };
  take(streams[0], out_, said_.out);
  take(streams[1], err_, said_.err);
  return true;
}

bool Running::read_until(std::string_view part) {
  while (said_.out.find(part) == std::string::npos) {
    if (out_ < 0 || !read_some()) return false;
  }
  return true;
}

bool Running::hear(std::string_view part) {
  while (said_.err.find(part) == std::string::npos) {
    if (err_ < 0 || !read_some()) return false;
  }
  return true;
}

void Running::signal(int number) { kill(pid_, number); }

Said Running::finish() {
  while (read_some()) {
  }
  int status = 0;
  if (pid_ > 0 && waitpid(pid_, &status, 0) == pid_) {
    said_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  pid_ = -1;
  return said_;
}

Command::Command() {
  std::string name =
      (std::filesystem::temp_directory_path() / "carrel_cli_XXXXXX").string();
  folder_ = mkdtemp(name.data());
  configure("");
}

Command::~Command() { std::filesystem::remove_all(folder_); }

void Command::configure(const std::string& toml) {
  std::ofstream(folder_ / "carrel.toml") << "store = \"sqlite:jobs.db?synchronous=OFF\"\n"
                                         << toml;
}

Said Command::carrel(const std::vector<std::string>& arguments,
                     const std::string& input) {
  return Running(arguments, folder_, input).finish();
}

Said Command::shell(const std::string& script) {
  return Running({"-c", script}, folder_, "", "/bin/sh").finish();
}

Json Command::show(const std::string& id) {
  const Said said = carrel({"show", id, "--json"});
  EXPECT_EQ(said.code, 0) << said.err;
  const auto documents = said.json();
  EXPECT_EQ(documents.size(), 1u);
  return documents.empty() ? Json() : documents.front();
}

}  // namespace carrel::cli_test
