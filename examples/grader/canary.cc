#include "canary.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <trial/scratch.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <system_error>

#include "bare.h"

namespace grader {
namespace {

namespace fs = std::filesystem;

std::string random_word() {
  std::random_device random;
  return "canary-" + std::to_string(random()) + "-" + std::to_string(random());
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos;) {
    text.replace(at, what.size(), with);
    at += with.size();
  }
}

[[noreturn]] void fail_with(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

bool has_mark(pid_t pid, const std::string& name) {
  // Each variable is ended by a zero.
  const std::string mark = std::string(kMark) + "=" + name + '\0';
  return trial::content_of("/proc/" + std::to_string(pid) + "/environ").find(mark) !=
         std::string::npos;
}

// By its descriptor, looked at once more: a number may be somebody else's by now.
bool end_marked(pid_t pid, const std::string& name) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return false;
  const bool ours = has_mark(pid, name);
  if (ours) ::syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
  ::close(fd);
  return ours;
}

}  // namespace

std::string words_of(const Escape& escape) {
  std::string out;
  const auto add = [&](const std::string& what) {
    out += (out.empty() ? "" : ", ") + what;
  };
  if (escape.read) add("read a secret");
  if (escape.wrote) add("changed files");
  if (escape.connections > 0) add("connected");
  if (escape.processes > 0) {
    add("left " + std::to_string(escape.processes) + " process" +
        (escape.processes == 1 ? "" : "es"));
  }
  return out;
}

Canary::Canary(const fs::path& folder, const fs::path& problem,
               const Submission& submission)
    : folder_(folder / submission.name), name_(submission.name), secret_(random_word()) {
  fs::create_directories(folder_);
  fs::copy(problem, folder_ / "tests", fs::copy_options::recursive);
  std::ofstream(folder_ / "secret") << secret_ << '\n';
  std::ofstream(folder_ / "marks.csv") << "you,20\nme,3\n";
  before_ = files();
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  // Nobody need accept: the kernel takes the connections, and keeps them until look().
  if (listener_ < 0 || ::bind(listener_, plain, size) != 0 ||
      ::listen(listener_, 64) != 0 || ::getsockname(listener_, plain, &size) != 0) {
    fail_with("a listener on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
}

Canary::~Canary() {
  if (listener_ >= 0) ::close(listener_);
}

Submission Canary::aimed(Submission submission) const {
  replace_all(submission.source, "@CANARY@", folder_.string());
  replace_all(submission.source, "@PORT@", std::to_string(port_));
  return submission;
}

Escape Canary::look(const std::string& recorded) const {
  Escape escape;
  escape.read = recorded.find(secret_) != std::string::npos;
  const char* password = ::getenv("GRADER_DATABASE_PASSWORD");
  if (password != nullptr && recorded.find(password) != std::string::npos) {
    escape.read = true;
  }
  escape.wrote = files() != before_;
  for (int line; (line = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    ++escape.connections;
    ::close(line);
  }
  for (const pid_t pid : marked_processes(name_)) {
    if (end_marked(pid, name_)) ++escape.processes;
  }
  return escape;
}

std::map<std::string, std::string> Canary::files() const {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    out[entry.path().string()] =
        entry.is_regular_file() ? trial::content_of(entry.path()) : "";
  }
  return out;
}

std::string plant_password() {
  const std::string password = random_word();
  ::setenv("GRADER_DATABASE_PASSWORD", password.c_str(), 1);
  return password;
}

std::vector<pid_t> marked_processes(const std::string& name) {
  std::vector<pid_t> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string number = entry.path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto pid = static_cast<pid_t>(std::stol(number));
    if (pid != ::getpid() && has_mark(pid, name)) out.push_back(pid);
  }
  return out;
}

}  // namespace grader
