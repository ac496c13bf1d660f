#include "process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace carrel::test {
namespace {

namespace fs = std::filesystem;

const passwd& ordinary_user() {
  // Not "nobody": a root's sandboxed programs run as that, and the kernel counts a user's
  // processes together.
  static const passwd* user = [] {
    const passwd* found =
        ::geteuid() == 0 ? ::getpwnam("daemon") : ::getpwuid(::geteuid());
    if (found == nullptr) throw std::runtime_error("no user to run servers as");
    static passwd copy;
    copy = *found;
    return &copy;
  }();
  return *user;
}

[[noreturn]] void become(const std::vector<std::string>& command, int in, int out) {
  const passwd& user = ordinary_user();
  const bool dropped =
      ::geteuid() != 0 || (::setgroups(0, nullptr) == 0 && ::setgid(user.pw_gid) == 0 &&
                           ::setuid(user.pw_uid) == 0);
  if (!dropped || ::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::chdir("/") != 0)
    _exit(126);
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  // A sanitizer's runtime in the environment is the test's, not the server's.
  ::unsetenv("LD_PRELOAD");
  ::execv(argv[0], argv.data());
  _exit(127);
}

struct Pipe {
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  }
  std::array<int, 2> ends{};
};

}  // namespace

fs::path make_server_folder(const std::string& name, const fs::path& within) {
  std::string path = (within / ("carrel-" + name + "-XXXXXX")).string();
  if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp: " + path);
  const passwd& user = ordinary_user();
  if (::geteuid() == 0 && ::chown(path.c_str(), user.pw_uid, user.pw_gid) != 0) {
    throw std::runtime_error("chown: " + path);
  }
  return path;
}

void run_as_server(const std::vector<std::string>& command) {
  ordinary_user();
  const Pipe out;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child == 0) {
    ::dup2(out.ends[1], 2);
    become(command, null, out.ends[1]);
  }
  ::close(null);
  ::close(out.ends[1]);
  std::string said;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t n = ::read(out.ends[0], buffer.data(), buffer.size());
    if (n <= 0) break;
    said.append(buffer.data(), static_cast<std::size_t>(n));
  }
  ::close(out.ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error(command[0] + " failed: " + said);
}

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool bound =
      fd >= 0 && ::bind(fd, generic, size) == 0 && ::getsockname(fd, generic, &size) == 0;
  ::close(fd);
  if (!bound) throw std::runtime_error("no free port on 127.0.0.1");
  return ntohs(address.sin_port);
}

Guarded::Guarded(fs::path folder, std::string last_signal,
                 const std::vector<std::string>& command)
    : folder_(std::move(folder)) {
  ordinary_user();
  std::ifstream script_file(CARREL_GUARDIAN);
  std::stringstream script;
  script << script_file.rdbuf();
  std::vector<std::string> words = {
      "/bin/sh", "-c", script.str(), "guardian", folder_.string(), last_signal};
  words.insert(words.end(), command.begin(), command.end());
  const Pipe to;
  const Pipe from;
  guardian_ = ::fork();
  if (guardian_ < 0) throw std::runtime_error("fork");
  if (guardian_ == 0) {
    ::setsid();  // a Ctrl-C for the test is not for the server
    become(words, to.ends[0], from.ends[1]);
  }
  ::close(to.ends[0]);
  ::close(from.ends[1]);
  to_ = ::fdopen(to.ends[1], "w");
  from_ = ::fdopen(from.ends[0], "r");
  pid_ = std::stoi(ask(""));
}

Guarded::~Guarded() {
  std::fclose(to_);
  ::waitpid(guardian_, nullptr, 0);
  std::fclose(from_);
}

std::string Guarded::ask(const std::string& line) {
  if (!line.empty()) {
    std::fputs((line + "\n").c_str(), to_);
    std::fflush(to_);
  }
  std::array<char, 64> answer{};
  if (std::fgets(answer.data(), answer.size(), from_) == nullptr) {
    throw std::runtime_error("a server's guardian is gone");
  }
  return answer.data();
}

void Guarded::start() { pid_ = std::stoi(ask("start")); }

void Guarded::stop(const std::string& signal) { ask("stop " + signal); }

bool Guarded::running() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
  std::string stat;
  std::getline(file, stat);
  const std::size_t name_end = stat.rfind(") ");
  return name_end != std::string::npos && stat[name_end + 2] != 'Z';
}

std::string Guarded::log() const {
  std::ifstream file(folder_ / "log");
  std::stringstream all;
  all << file.rdbuf();
  std::string text = all.str();
  if (text.size() > 4000) text.erase(0, text.size() - 4000);
  return text;
}

}  // namespace carrel::test
