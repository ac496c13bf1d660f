// A host of its own, for what needs a fresh process: process_host MODE. Prints one line
// of JSON for the test that started it.
#include <carrel/fork_to.h>
#include <carrel/process.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "birth.h"
#include "handlers.h"
#include "os.h"
#include "process_server.h"
#include "support.h"

namespace {

using carrel::Handlers;
using carrel::Json;
using carrel::test::eventually;
using carrel::test::Host;
using carrel::test::parent_of;

const carrel::LogFn kQuiet = [](carrel::LogLevel, std::string_view) {};

void tell(const Json& words) { std::cout << words.dump() << std::endl; }

Handlers test_handlers() {
  Handlers handlers;
  carrel::test::add_handlers(handlers);
  return handlers;
}

std::string text_of(const carrel::Result<void>& result) {
  return result ? "" : result.error().message;
}

void must(const carrel::Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

std::string class_of(const carrel::Outcome& outcome) {
  return std::string(carrel::to_string(outcome.klass));
}

pid_t server_of(Host& host) {
  return static_cast<pid_t>(std::stol(host.run("parent").result));
}

class OtherThread {
 public:
  OtherThread()
      : thread_([](std::stop_token stop) {
          pthread_setname_np(pthread_self(), "busy-elsewhere");
          std::mutex m;
          std::unique_lock lock(m);
          std::condition_variable_any().wait(lock, stop, [] { return false; });
        }) {
    eventually([] { return carrel::process::thread_names().back() == "busy-elsewhere"; });
  }

 private:
  std::jthread thread_;
};

// Leaves children of every sort running and waits to be killed.
int wait_to_be_killed() {
  must(carrel::prefork(carrel::test::add_handlers));
  pid_t server = 0;
  {
    Host first("fork", {}, 0);
    server = server_of(first);
    // The child of that job may still be ending.
    eventually([&] { return carrel::test::children_of(server).empty(); });
  }
  Host fork("fork");
  Host exec("exec", {carrel::test::program("program", {"sleep", "1000"})});
  const auto sleeper = fork.start("sleep");
  const auto daemon = fork.start("daemon_then_sleep");
  const auto program = exec.start("program");
  daemon.sink->wait_until([](const auto& r) { return !r.log.empty(); });
  sleeper.sink->wait_until([](const auto& r) { return r.logged("ready"); });
  eventually([&] { return carrel::test::children_of(server).size() >= 3; });
  Json pids = carrel::test::children_of(server);
  pids.push_back(std::stoi(daemon.sink->log.at(0)));
  pids.push_back(server);
  pids.push_back(parent_of(server));
  tell(pids);
  for (;;) pause();
}

int with_threads() {
  const OtherThread other;
  const auto first = carrel::process::ignite(test_handlers(), false, kQuiet);
  const auto second = carrel::prefork(carrel::test::add_handlers);
  tell({text_of(first), text_of(second)});
  return 0;
}

// main_hook() was called before: threads do not matter.
int hooked() {
  const OtherThread other;
  Handlers unknown;
  unknown.handle("stranger", [](carrel::Context&) {});
  const auto ignited = carrel::process::ignite(test_handlers(), false, kQuiet);
  const auto refused = carrel::process::ignite(unknown, false, kQuiet);
  Host host("fork");
  const auto out = host.run("echo", "[1]");
  const int waited = waitpid(-1, nullptr, WNOHANG);
  tell({text_of(ignited), text_of(refused), out.result, waited < 0 && errno == ECHILD});
  return 0;
}

// The engine's way: what is registered by then is known, and later kinds are refused.
// A child that fails before it has a job.
int bad_hooks() {
  Json words = Json::array();
  for (const bool crashes : {false, true}) {
    const pid_t pid = fork();  // one server for a process
    if (pid != 0) {
      int status = 0;
      waitpid(pid, &status, 0);
      words.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
      continue;
    }
    must(carrel::prefork([crashes](Handlers& h) {
      carrel::test::add_handlers(h);
      h.after_fork_child([crashes] {
        if (crashes) raise(SIGSEGV);
        throw std::runtime_error("no database");
      });
    }));
    Host host("fork");
    const auto out = host.run("nothing");
    const auto has = [&](const char* text) {
      return out.error.message.find(text) != std::string::npos;
    };
    if (crashes) _exit(class_of(out) == "resource_error" && has("signal 11") ? 2 : 0);
    _exit(class_of(out) == "failed" && has("no database") ? 1 : 0);
  }
  tell(words);
  return 0;
}

int ignited_twice() {
  Handlers unknown;
  unknown.handle("stranger", [](carrel::Context&) {});
  const auto first = carrel::process::ignite(test_handlers(), false, kQuiet);
  const auto again = carrel::process::ignite(test_handlers(), false, kQuiet);
  const auto refused = carrel::process::ignite(unknown, false, kQuiet);
  const auto prefork = carrel::prefork();
  Host host("fork");
  tell({text_of(first), text_of(again), text_of(refused),
        prefork ? "" : std::string(to_string(prefork.error().code)),
        host.run("echo", "[2]").result});
  return 0;
}

// The same name for something else, in a later engine.
int another_handler() {
  const auto handlers = [](auto f) {
    Handlers made;
    made.handle("echo", f);
    return made;
  };
  must(carrel::process::ignite(handlers([](carrel::Context&) { return 1; }), false,
                               kQuiet));
  const auto other = carrel::process::ignite(handlers([](carrel::Context&) { return 2; }),
                                             false, kQuiet);
  tell({text_of(other), Host("fork").run("echo").result});
  return 0;
}

// More often than a server that dies of itself is forked again at once.
int dies_often() {
  must(carrel::prefork(carrel::test::add_handlers));
  Json pids = Json::array();
  Host host("fork", {}, 0);
  for (int i = 0; i < 12; ++i) {
    pid_t server = -1;
    const bool another = eventually([&] {
      const auto outcome = host.run("parent");
      if (outcome.klass != carrel::OutcomeClass::kOk) return false;
      server = static_cast<pid_t>(std::stol(outcome.result));
      return std::find(pids.begin(), pids.end(), server) == pids.end();
    });
    if (!another || server <= 1) break;  // else this would signal more than a server
    pids.push_back(server);
    kill(server, SIGKILL);
  }
  tell(pids);
  return 0;
}

int bad_setup() {
  const auto made =
      carrel::prefork([](Handlers&) { throw std::runtime_error("no model file"); });
  const auto again = carrel::prefork(carrel::test::add_handlers);
  tell({text_of(made), text_of(again)});
  return 0;
}

constexpr std::chrono::milliseconds kShort{200};

int never_greets() {
  const auto made = carrel::process::fork_server([](Handlers&) { pause(); }, kShort);
  must(carrel::prefork(carrel::test::add_handlers));
  Host host("fork");
  tell({made.error().message, to_string(made.error().code),
        host.run("echo", "[6]").result});
  return 0;
}

// Where a server that was executed hangs; see main().
constexpr const char* kHangs = "PROCESS_HOST_HANGS";
constexpr const char* kThread = "nowhere, but it has a thread";
constexpr const char* kEnds = "nowhere, but it ends";

int never_greets_by_hook() {
  Json words = Json::array();
  for (const char* where : {"setup", "main"}) {
    setenv(kHangs, where, 1);
    words.push_back(carrel::process::execute_server({}, kShort).error().message);
  }
  std::stop_source stop;
  std::jthread stops([&] { stop.request_stop(); });
  words.push_back(carrel::process::execute_server(stop.get_token()).error().message);
  tell(words);
  return 0;
}

// As a program does that reads its command line before the hook.
int ends_before_hook() {
  setenv(kHangs, kEnds, 1);
  tell({carrel::process::execute_server({}).error().message});
  return 0;
}

// The program has a thread before main calls main_hook(), there and here.
int thread_before_hook() {
  setenv(kHangs, kThread, 1);
  tell({text_of(carrel::process::ignite(test_handlers(), false, kQuiet))});
  return 0;
}

// How a host does that has so few descriptors left where its server is born, and enough
// afterwards: "refused", or how a job ends.
std::string with_descriptors_left(unsigned left) {
  std::vector<carrel::process::UniqueFd> held;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = 64;
  setrlimit(RLIMIT_NOFILE, &files);
  for (int fd; (fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) >= 0;)
    held.emplace_back(fd);
  while (left-- > 0) held.pop_back();
  const auto ignited = carrel::process::ignite(test_handlers(), false, kQuiet);
  if (!ignited) return "refused";
  held.clear();
  return class_of(Host("fork").run("nothing"));
}

int few_descriptors() {
  Json words = Json::array();
  for (unsigned left = 1; left <= 9; ++left) {
    int ends[2];
    if (pipe(ends) != 0) return 1;
    const int status = carrel::test::status_in_child([&] {  // one server for a process
      const std::string word = with_descriptors_left(left);
      return write(ends[1], word.data(), word.size()) == static_cast<ssize_t>(word.size())
                 ? 0
                 : 1;
    });
    char word[64];
    const ssize_t size = status == 0 ? read(ends[0], word, sizeof word) : 0;
    words.push_back(
        std::string(word, static_cast<std::size_t>(std::max<ssize_t>(size, 0))));
    close(ends[0]);
    close(ends[1]);
  }
  tell(words);
  return 0;
}

// More than it can say in one message, in each of its ways.
int says_much() {
  const auto kinds = carrel::prefork([](Handlers& h) {
    for (int i = 10'000; i < 12'000; ++i) {
      h.handle(std::to_string(i) + std::string(120, 'k'), [](carrel::Context&) {});
    }
  });
  const auto error = carrel::prefork([](Handlers&) {
    throw std::runtime_error("no model file" + std::string(1 << 20, '!'));
  });
  tell({to_string(kinds.error().code), kinds.error().message, text_of(error)});
  return 0;
}

// Text in the buffer at the fork must be printed once, whatever its children do.
int prints() {
  std::printf("before the fork;");
  must(carrel::prefork(carrel::test::add_handlers));
  Host host("fork");
  host.run("print");
  host.run("exit", "0");
  host.run("nothing");
  std::printf("after\n");
  return 0;
}

std::atomic<int> sigchld_count{0};

int hears_sigchld() {
  struct sigaction action {};
  action.sa_handler = [](int) { ++sigchld_count; };
  sigaction(SIGCHLD, &action, nullptr);
  must(carrel::prefork(carrel::test::add_handlers));
  Host host("fork");
  for (int i = 0; i < 20; ++i) host.run("echo", "1");
  const int waited = waitpid(-1, nullptr, 0);  // would block if there were a child
  tell({sigchld_count.load(), waited < 0 && errno == ECHILD});
  return 0;
}

// What the first three descriptors of this process are; "": closed.
Json stdio() {
  Json files = Json::array();
  for (const char* fd : {"0", "1", "2"}) {
    std::error_code closed;
    files.push_back(
        std::filesystem::read_symlink(std::string("/proc/self/fd/") + fd, closed)
            .string());
  }
  return files;
}

// Likewise while a child of fork_to runs.
Json stdio_beside_a_child() {
  void* const page = mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto& step = *static_cast<std::atomic<int>*>(page);
  std::jthread direct([&step] {
    static_cast<void>(carrel::fork_to(carrel::test::kPatience, [&step] {
      step = 1;
      while (step != 2) sched_yield();
    }));
  });
  eventually([&step] { return step == 1; });
  Json files = stdio();
  step = 2;
  return files;
}

// A descriptor that comes on a socket.
bool received_above_stdio() {
  const auto ends = carrel::process::socket_pair(SOCK_SEQPACKET);
  const int sent = ends.second.get();
  carrel::process::send_message(sent, "x", {&sent, 1});
  char byte = 0;
  carrel::process::Received received;
  carrel::process::receive_message(ends.first.get(), {&byte, 1}, received);
  const carrel::process::UniqueFd came(received.fd_count == 1 ? received.fds[0] : -1);
  return came.get() > STDERR_FILENO;
}

// As a daemon may be started.
int without_stdio() {
  const carrel::process::UniqueFd output(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100));
  close_range(STDIN_FILENO, STDERR_FILENO, 0);
  must(carrel::prefork(
      [](Handlers& h) { h.handle("stdio", [](carrel::Context&) { return stdio(); }); }));
  const Json own = stdio();
  const auto direct = carrel::fork_to(carrel::test::kPatience, [] { return stdio(); });
  const Json beside = stdio_beside_a_child();
  const bool received = received_above_stdio();
  const auto forked = Host("fork").run("stdio");
  const auto spawned = Host("exec", {carrel::test::program("program", {"/bin/cat"})})
                           .run("program", "[5]");
  dup2(output.get(), STDOUT_FILENO);
  tell({own, direct.value(), beside, received, Json::parse(forked.result),
        spawned.result});
  return 0;
}

// What it loads leaves a thread behind, then a signal that is ignored and one that is not
// blocked any more.
int careless_preloads() {
  const auto refused = carrel::prefork(
      [](Handlers& h) { h.preload([] { static const OtherThread other; }); });
  must(carrel::prefork([](Handlers& h) {
    h.preload([] {
      signal(SIGUSR1, SIG_IGN);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
    });
    h.handle("signals", [](carrel::Context&) {
      struct sigaction action {};
      sigaction(SIGUSR1, nullptr, &action);
      return action.sa_handler == SIG_DFL;
    });
    carrel::test::add_handlers(h);
  }));
  Host host("fork");
  std::ifstream status("/proc/" + std::to_string(server_of(host)) + "/status");
  std::string line;
  while (!line.starts_with("SigBlk:") && std::getline(status, line)) {
  }
  tell({text_of(refused), host.run("signals").result,
        line.find("fffffffe7ffbfeff") != std::string::npos});
  return 0;
}

// No process is left for this user.
int out_of_processes() {
  // Root's processes are not counted.
  if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 77;
  must(carrel::prefork(carrel::test::add_handlers));
  Host fork("fork", {}, 0);
  Host exec("exec", {carrel::test::program("program", {"/bin/true"})});
  const pid_t server = server_of(fork);
  rlimit before{};
  prlimit(server, RLIMIT_NPROC, nullptr, &before);
  const rlimit none{0, before.rlim_max};
  prlimit(server, RLIMIT_NPROC, &none, nullptr);
  const auto forked = fork.run("nothing");
  const auto spawned = exec.run("program");
  prlimit(server, RLIMIT_NPROC, &before, nullptr);
  tell({class_of(forked), forked.error.native, class_of(spawned), spawned.error.native,
        class_of(fork.run("nothing"))});
  return 0;
}

// Where the first process of its namespace has ended, the kernel has no memory for more.
int out_of_memory() {
  const auto made = carrel::prefork([](Handlers& h) {
    carrel::test::add_handlers(h);
    h.preload([] {
      if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) throw std::runtime_error("cannot");
      const pid_t first = fork();
      if (first == 0) _exit(0);
      waitpid(first, nullptr, 0);
    });
  });
  if (!made) {
    tell("cannot");
    return 0;
  }
  Host fork("fork", {}, 0);
  Host exec("exec", {carrel::test::program("program", {"/bin/true"})});
  const auto forked = fork.run("nothing");
  const auto spawned = exec.run("program");
  tell({class_of(forked), forked.error.native, class_of(spawned), spawned.error.native});
  return 0;
}

// As a host that grew under `ulimit -v`, and one that has room.
int short_of_address_space() {
  const auto bound = [](std::uint64_t room) {
    const rlimit limit{carrel::process::mapped_bytes() + room, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
  };
  bound(1 << 20);
  const auto refused = carrel::prefork(carrel::test::add_handlers);
  bound(256 << 20);
  must(carrel::prefork(carrel::test::add_handlers));
  Host host("fork");
  tell({text_of(refused), host.run("echo", "[4]").result});
  return 0;
}

// Kills the server, then server and keeper both, while a job runs.
int lost(bool hooked) {
  if (hooked) {
    must(carrel::process::ignite(test_handlers(), false, kQuiet));
  } else {
    must(carrel::prefork(carrel::test::add_handlers));
  }
  Json words = Json::array();
  // No idle children: one that was just forked holds the server's sockets for a moment.
  Host host("fork", {}, 0);
  for (const bool keeper_too : {false, true}) {
    const pid_t server = server_of(host);
    const pid_t keeper = parent_of(server);
    const auto job = host.start("sleep");
    job.sink->wait_until([](const auto& r) { return r.logged("ready"); });
    const auto children = carrel::test::children_of(server);  // the last is the job's
    if (keeper_too) kill(keeper, SIGKILL);
    kill(server, SIGKILL);
    words.push_back(class_of(job.sink->wait()));
    words.push_back(eventually([&] { return !carrel::test::exists(children.back()); }));
    // A request on its way to those who are just dying, and a child that the server
    // forked last is one of them, is lost with them.
    carrel::Outcome next;
    eventually([&] {
      next = host.run("echo", "[3]");
      return next.klass != carrel::OutcomeClass::kWorkerLost;
    });
    const bool ok = next.klass == carrel::OutcomeClass::kOk;
    words.push_back(ok ? next.result : next.error.message);
  }
  tell(words);
  return 0;
}

int lost_by_fork() { return lost(false); }
int lost_by_hook() { return lost(true); }

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  // Also where this program was executed again as the server; then it does not return.
  if (mode.starts_with("hook") || mode.starts_with("--")) {
    const char* const hangs = std::getenv(kHangs);
    const std::string where = hangs != nullptr ? hangs : "";
    if (where == "main") pause();
    if (where == kEnds) return 2;
    std::optional<OtherThread> early;
    if (where == kThread) early.emplace();
    carrel::main_hook(argc, argv, [&where](Handlers& handlers) {
      if (where == "setup") pause();
      carrel::test::add_handlers(handlers);
    });
  }
  const std::map<std::string, int (*)()> modes = {
      {"wait_to_be_killed", wait_to_be_killed},
      {"with_threads", with_threads},
      {"hooked", hooked},
      {"ignited_twice", ignited_twice},
      {"another_handler", another_handler},
      {"dies_often", dies_often},
      {"bad_setup", bad_setup},
      {"bad_hooks", bad_hooks},
      {"says_much", says_much},
      {"never_greets", never_greets},
      {"hook_never_greets", never_greets_by_hook},
      {"hook_ends_before", ends_before_hook},
      {"hook_thread_before", thread_before_hook},
      {"few_descriptors", few_descriptors},
      {"hook_few_descriptors", few_descriptors},
      {"prints", prints},
      {"hears_sigchld", hears_sigchld},
      {"without_stdio", without_stdio},
      {"careless_preloads", careless_preloads},
      {"out_of_processes", out_of_processes},
      {"out_of_memory", out_of_memory},
      {"short_of_address_space", short_of_address_space},
      {"lost", lost_by_fork},
      {"hook_lost", lost_by_hook},
  };
  const auto found = modes.find(mode);
  if (found == modes.end()) {
    std::fprintf(stderr, "usage: process_host MODE\n");
    return 2;
  }
  try {
    return found->second();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", mode.c_str(), e.what());
    return 1;
  }
}
