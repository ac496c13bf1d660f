#include "box.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "children.h"
#include "landlock.h"
#include "quarters.h"
#include "target.h"
#include "tree_clock.h"
#include "wire.h"

namespace carrel::sandbox {
namespace {

using process::Reader;
using process::Reply;
using process::RequestHead;
using process::UniqueFd;
using Stage = Reply::Stage;

UniqueFd child_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  return UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

class Box {
 public:
  Box(const Blueprint& blueprint, UniqueFd socket)
      : blueprint_(blueprint), plan_(blueprint.plan), socket_(std::move(socket)) {}

  [[noreturn]] void run(const std::string& folder) {
    signals_ = child_signals();
    quarters_.furnish(blueprint_, folder);
    if (quarters_.has_own_proc()) clock_.own_proc();
    // Only now: before, the maps of its user namespace could not have been written.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    receive();
    if (quarters_.failed()) {
      refuse(Reply::What::kNotSpawned, quarters_.stage(), quarters_.error());
    } else if (start()) {
      supervise();
      bury();
    }
    if (!files_ && quarters_.outlives_process()) {
      // That takes as long as the program has made it.
      process::send_message(socket_.get(), {&kClearing, 1}, {});
      quarters_.clear();
    }
    process::send_message(socket_.get(),
                          {reinterpret_cast<const char*>(&report_), sizeof report_}, {});
    if (files_ && quarters_.outlives_process()) {
      wait_for_reader();
      quarters_.clear();
    }
    _exit(0);
  }

 private:
  // Sleeps until there is a job; without one there is nothing to do.
  void receive() {
    bytes_.resize(sizeof(RequestHead) + process::kMaxInline);
    for (;;) {
      pollfd polled{socket_.get(), POLLIN, 0};
      const bool polls = poll(&polled, 1, -1) >= 0 || errno == EINTR;
      process::receive_message(socket_.get(), bytes_, received_);
      if (received_.size > 0) break;
      if (!polls || received_.size == 0 || received_.error != EAGAIN) {
        quarters_.clear();
        _exit(0);
      }
    }
    for (std::size_t i = 0; i < received_.fd_count; ++i) {
      fds_.emplace_back(received_.fds[i]);
    }
  }

  // False: nothing runs, and the report says why.
  bool start() {
    Reader in({bytes_.data(), static_cast<std::size_t>(received_.size)});
    const auto head = in.get<RequestHead>();
    Target target;
    target.plan = &plan_;
    target.filter = blueprint_.filter;
    target.ruleset = quarters_.ruleset();
    target.drop_user = quarters_.drops_user();
    process::SpawnJob job;
    if (head.fds > 0) {
      constexpr auto kNotForked = Reply::What::kNotForked;
      if (fds_.size() < head.fds || fds_.size() < 4) {
        return refuse(kNotForked, Stage::kNone, EMFILE);
      }
      std::string_view body = in.get_bytes(head.inline_bytes);
      if (head.body_in_file) {
        if (!process::read_memory_file(fds_.back().get(), file_)) {
          return refuse(kNotForked, Stage::kNone, EIO);
        }
        body = file_;
        fds_.pop_back();
      }
      Reader whole(body);
      Reader spawn(whole.get_text());
      if (!process::decode(spawn, job)) return refuse(kNotForked, Stage::kNone, EPROTO);
      const auto count = whole.get<std::uint32_t>();
      for (std::uint32_t i = 0; i < count && whole.ok(); ++i) {
        const auto name = whole.get_text();
        const auto text = whole.get_text();
        if (!whole.ok()) return refuse(kNotForked, Stage::kNone, EPROTO);
        if (const int error = quarters_.put(name.data(), text)) {
          return refuse(Reply::What::kNotSpawned, Stage::kFiles, error);
        }
      }
      if (!plan_.namespaces) name_folder(job.env);
      target.job = &job;
      for (std::size_t i = 0; i < 4; ++i) target.fds[i] = fds_[i].get();
    }
    program_ = launch(target);
    if (fds_.size() > 4) files_ = std::move(fds_[4]);
    fds_.clear();
    if (program_ > 0) return true;
    return refuse(
        target.stage == Stage::kNone ? Reply::What::kNotForked : Reply::What::kNotSpawned,
        target.stage, target.error);
  }

  // Where it may write has another name for each box; a kind's own words go first.
  void name_folder(std::vector<char*>& env) {
    for (std::string& word : folder_names_) {
      const auto same = [&](const char* other) {
        return other != nullptr &&
               std::string_view(other).starts_with(word.substr(0, word.find('=') + 1));
      };
      if (std::any_of(env.begin(), env.end(), same)) continue;
      word += quarters_.folder();
      env.insert(env.end() - 1, word.data());
    }
  }

  bool refuse(Reply::What what, Stage stage, int error) {
    report_.what = what;
    report_.stage = stage;
    report_.error = error;
    return false;
  }

  // Until the program has ended.
  void supervise() {
    report_.what = Reply::What::kEnded;
    while (program_ > 0) {
      pollfd polled[2] = {{signals_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
      if (poll(polled, 2, clock_.next_look_ms()) < 0) {
        if (errno == EINTR) continue;
        end_unheard();
        break;
      }
      if (polled[1].revents != 0) obey();
      if (polled[0].revents != 0) reap();
      if (program_ > 0 && clock_.used_up(program_)) {
        report_.force |= Reply::kCpuTime;
        kill_all();
      }
    }
  }

  // It cannot wait for orders any more, as where somebody lowered its limits.
  void end_unheard() {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);  // what tidies up opens some
    kill_all();
    rusage used{};
    int status = 0;
    while (wait4(program_, &status, __WALL, &used) < 0 && errno == EINTR) {
    }
    note_end(status, used);
  }

  // The room is gone, and nobody hears of the end.
  [[noreturn]] void give_up() {
    kill_all();
    bury();
    quarters_.clear();
    _exit(1);
  }

  void obey() {
    char order = 0;
    const ssize_t n = recv(socket_.get(), &order, 1, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) give_up();
    report_.force |= Reply::kSignalled;
    switch (static_cast<Order>(order)) {
      case Order::kTerminate:
        kill(program_, SIGTERM);
        break;
      case Order::kTerminateAll:
        if (plan_.namespaces) {
          kill(-1, SIGTERM);
        } else if (kill(-program_, SIGTERM) != 0) {
          kill(program_, SIGTERM);
        }
        break;
      case Order::kKill:
        kill_all();
        break;
    }
  }

  // In its namespace the first process reaches all others, and itself not.
  void kill_all() {
    killed_ = true;
    if (plan_.namespaces) {
      kill(-1, SIGKILL);
    } else {
      kill(-program_, SIGKILL);
      kill(program_, SIGKILL);
    }
  }

  void reap() {
    // Once a turn: a program may send them faster than they are read.
    signalfd_siginfo info[4];
    if (read(signals_.get(), info, sizeof info) < 0 && errno != EAGAIN) return;
    int status = 0;
    rusage used{};
    for (pid_t pid; (pid = wait4(-1, &status, WNOHANG | __WALL, &used)) > 0;) {
      if (pid == program_) note_end(status, used);
    }
  }

  void note_end(int status, const rusage& used) {
    program_ = -1;
    report_.status = status;
    if (WIFSIGNALED(status) && clock_.ended_by_limit(WTERMSIG(status), used)) {
      report_.force |= Reply::kCpuTime;
    }
  }

  // Ends what the program left. Afterwards there is no process in here but this one.
  void bury() {
    // One that has ended and was left unwaited for may hide its own children behind it.
    pid_t ended;
    while ((ended = waitpid(-1, nullptr, WNOHANG | __WALL)) > 0) {
    }
    if (ended == 0) {
      // What was killed together with the program was not left by it.
      if (!killed_) report_.force |= Reply::kLeftovers;
      if (plan_.namespaces) {
        while (kill(-1, SIGKILL), waitpid(-1, nullptr, __WALL) > 0 || errno == EINTR) {
        }
      } else {
        process::ChildList list;
        process::kill_all_children(list);
      }
    }
    rusage used{};
    getrusage(RUSAGE_CHILDREN, &used);
    report_.cpu_us = cpu_microseconds(used);
    report_.max_rss_kib = static_cast<std::uint64_t>(used.ru_maxrss);
    if (files_) {
      const int folder = quarters_.folder_fd();
      process::send_message(files_.get(), "w", {&folder, 1});
    }
  }

  // The host reads in the folder after it has heard of the end, and closes this when it
  // has what it wants; the kernel does when it is gone. Where the room ends, this does.
  void wait_for_reader() {
    pollfd polled[2] = {{files_.get(), 0, 0}, {socket_.get(), 0, 0}};
    while (poll(polled, 2, -1) < 0 && errno == EINTR) {
    }
  }

  const Blueprint& blueprint_;
  const Plan& plan_;
  UniqueFd socket_;
  UniqueFd signals_;
  UniqueFd files_;  // where the host waits for the folder, if it does
  bool killed_ = false;
  Quarters quarters_;
  TreeClock clock_{plan_.limits.cpu_seconds};
  process::Received received_;
  std::vector<char> bytes_;
  std::string file_;
  std::array<std::string, 2> folder_names_ = {"HOME=", "TMPDIR="};
  std::vector<UniqueFd> fds_;
  pid_t program_ = -1;
  Reply report_;
};

}  // namespace

void run_box(const Blueprint& blueprint, UniqueFd socket, const std::string& folder) {
  Box(blueprint, std::move(socket)).run(folder);
}

std::string box_request(std::string_view spawn,
                        const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out;
  process::Writer writer(out);
  writer.put_text(spawn);
  writer.put(static_cast<std::uint32_t>(files.size()));
  for (const auto& [name, text] : files) {
    writer.put_text(name);
    writer.put_text(text);
  }
  return out;
}

}  // namespace carrel::sandbox
