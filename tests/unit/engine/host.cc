// A host application of its own, for what needs a fresh process:
//
//   engine_host producer STORE       enqueues a job of every isolation, prints "READY",
//   engine_host worker STORE         … and runs them, and goes on until its input ends
//   engine_host signals ISOLATION    prints what became of its signals, as JSON
//   engine_host hooks fork           prints how forked jobs ended, whose store was away
//   engine_host copies fork          prints what copies of the engine answer, in a forked
//                                    job and in a child of the host's own
#include <carrel/engine.h>
#include <carrel/process.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using carrel::Context;
using carrel::Engine;
using carrel::Json;

template <class T>
T must(carrel::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

const std::vector<std::string> kIsolations = {"thread", "mutex", "fork", "exec"};

// A kind of each isolation, by its name, that answers with its arguments.
Engine open(const std::string& store, carrel::Role role) {
  carrel::Config config;
  config.store = store;
  config.role = role;
  config.log.level = carrel::LogLevel::kOff;
  config.worker.concurrency = 2;
  for (const std::string& name : kIsolations) config.jobs[name].isolation = name;
  config.jobs["exec"].command = {"/bin/cat"};
  Engine engine = must(Engine::open(config));
  for (const std::string& name : kIsolations) {
    if (name == "exec") continue;
    must(engine.handle(name, [](Context& job) { return job.args(); }));
  }
  return engine;
}

int serve(const std::string& store, carrel::Role role) {
  Engine engine = open(store, role);
  std::vector<carrel::JobId> ids;
  for (const std::string& name : kIsolations) {
    for (int i = 0; i < 10; ++i) ids.push_back(must(engine.enqueue(name, i)));
  }
  if (role == carrel::Role::kWorker) {
    must(engine.start());
    for (const carrel::JobId id : ids) must(engine.wait(id, 60s));
  } else {
    must(engine.job(ids.front()));
  }
  std::cout << "READY" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  return 0;
}

// As x86 and ARM have it in the kernel.
struct KernelAction {
  void* handler = nullptr;
  unsigned long flags = 0;
  void* restorer = nullptr;
  unsigned long mask = 0;

  bool operator==(const KernelAction& other) const {
    constexpr unsigned long kRestorer = 0x04000000;  // whoever sets one through glibc
#ifdef __SANITIZE_THREAD__
    return handler == other.handler;  // the rest is what the sanitizer makes of it
#endif
    return handler == other.handler && mask == other.mask &&
           (flags & ~kRestorer) == (other.flags & ~kRestorer);
  }
};

// What the kernel knows of the process's signals, also of the two that glibc keeps for
// itself; and what the calling thread blocks.
struct Signals {
  std::array<KernelAction, 65> actions;
  sigset_t blocked;

  Signals() {
    for (int number = 1; number <= 64; ++number) {
      if (syscall(SYS_rt_sigaction, number, nullptr, &actions[number], 8) != 0) abort();
    }
    sigemptyset(&blocked);
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  }
  // The numbers of those that are not as they were; a blocked one is negative.
  Json changed_since(const Signals& before) const {
    Json numbers = Json::array();
    for (int number = 1; number <= 64; ++number) {
      if (actions[number] != before.actions[number]) numbers.push_back(number);
      if (sigismember(&blocked, number) != sigismember(&before.blocked, number)) {
        numbers.push_back(-number);
      }
    }
    return numbers;
  }
};

std::atomic<int> children_ended{0};
std::atomic<int> told{0};

void set_up_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { ++children_ended; };
  action.sa_flags = SA_RESTART;
  sigaddset(&action.sa_mask, SIGUSR2);
  sigaction(SIGCHLD, &action, nullptr);
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t*, void*) { ++told; };
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGRTMIN + 3, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGQUIT, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigaddset(&blocked, SIGWINCH);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

// A child of the host's own: its end is heard once, and its status is there.
bool own_child_works() {
  const int before = children_ended;
  const pid_t child = fork();
  if (child == 0) _exit(7);
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(-1, &status, 0)) < 0 && errno == EINTR) {
  }
  return ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 7 &&
         children_ended == before + 1;
}

int signals(const std::string& isolation) {
  // glibc takes a signal of its own when the first thread is made.
  std::thread([] {}).join();
  set_up_signals();
  const Signals before;
  Json changed = Json::object();
  const auto look = [&](const char* when) {
    changed[when] = Signals().changed_since(before);
  };
  Json words;
  {
    std::atomic<bool> end_by_signal{false};
    Engine engine = open("memory:", carrel::Role::kWorker);
    engine.on_finished([&](const carrel::Event&) {
      if (end_by_signal) kill(getpid(), SIGTERM);
    });
    look("opened");
    const auto first = must(engine.enqueue(isolation, 1));
    look("enqueued");
    must(engine.start());
    look("started");
    must(engine.wait(first, 60s));
    std::vector<carrel::JobId> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(must(engine.enqueue(isolation, i)));
    look("running");
    words["own_child_beside_jobs"] = own_child_works();
    for (const carrel::JobId id : ids) must(engine.wait(id, 60s));
    look("ran");
    engine.stop(10s);
    look("stopped");
    // run() takes SIGTERM and SIGINT, which were the default, and gives them back.
    end_by_signal = true;
    must(engine.enqueue(isolation, 2));
    must(engine.run());
    look("run");
  }
  look("closed");
  words["changed"] = changed;
  words["own_child_afterwards"] = own_child_works();
  words["ends_heard"] = children_ended.load();  // of the host's own two, and of no job
  raise(SIGUSR1);
  words["told"] = told.load();
  std::cout << words.dump() << std::endl;
  return 0;
}

pid_t loaded_by = -1;
pid_t hooked_by = -1;

// An engine whose forked jobs tell whether its hooks ran, over a memory store that can be
// away.
Engine open_with_hooks(const std::string& isolation, const bool& away) {
  carrel::Config config;
  config.store = "away:";
  config.log.level = carrel::LogLevel::kOff;
  config.jobs["tell"].isolation = isolation;
  carrel::Registry registry = carrel::Registry::with_builtins();
  const carrel::StoreFactory memory = *must(registry.store("memory"));
  registry.add_store(
      "away",
      [memory, &away](const carrel::Url& url, const carrel::BackendOptions& options)
          -> carrel::Result<std::unique_ptr<carrel::Store>> {
        if (away) return carrel::fail(carrel::Code::kUnavailable, "it is away", "store");
        return memory(url, options);
      });
  Engine engine = must(Engine::open(config, std::move(registry)));
  must(engine.preload([] { loaded_by = getpid(); }));
  must(engine.after_fork_child([] { hooked_by = getpid(); }));
  must(engine.handle("tell", [](Context&) {
    return Json{loaded_by == getppid(), hooked_by == getpid()};
  }));
  return engine;
}

int hooks(const std::string& isolation) {
  bool away = true;
  Json words;
  {
    Engine engine = open_with_hooks(isolation, away);
    words.push_back(engine.enqueue("tell", {}).error().message);
    away = false;
    const auto id = must(engine.enqueue("tell", {}));
    must(engine.start());
    words.push_back(must(engine.wait(id, 60s)));
  }
  Engine again = open_with_hooks(isolation, away);
  const auto id = must(again.enqueue("tell", {}));
  must(again.start());
  words.push_back(must(again.wait(id, 60s)));
  again.stop(10s);
  std::cout << words.dump() << std::endl;
  return 0;
}

Engine* engine_of_host = nullptr;

// What every call of it is told.
Json answers_of(Engine& engine) {
  Json codes = Json::array();
  const auto add = [&](const auto& answer) {
    codes.push_back(answer ? "done" : carrel::to_string(answer.error().code));
  };
  add(engine.enqueue("asks", 1));
  add(engine.wait(carrel::JobId{1}, 10s));
  add(engine.job(carrel::JobId{1}));
  add(engine.list({}));
  add(engine.cancel(carrel::JobId{1}));
  add(engine.pause("default"));
  add(engine.health());
  add(engine.hold(
      "key", 1, [] {}, 0s));
  add(engine.ignite());
  add(engine.start());
  add(engine.run());
  add(engine.drain());
  engine.stop(10s);
  codes.push_back(engine.own_health().running ? "runs" : "runs not");
  return codes;
}

int copies(const std::string& isolation) {
  const auto answer = [](Context&) {
    carrel::Config config;  // one of the job's own
    config.store = "memory:";
    config.role = carrel::Role::kProducer;
    Engine own = must(Engine::open(config));
    Json codes = answers_of(*engine_of_host);
    codes.push_back(own.enqueue("other", 1) ? "own" : "none");
    return codes;
  };
  carrel::Config config;
  config.store = "memory:";
  config.log.level = carrel::LogLevel::kOff;
  config.jobs["asks"].isolation = isolation;
  Engine opened = must(Engine::open(config));  // and no more: a child may go on with it
  if (const pid_t child = fork(); child == 0) {
    _exit(opened.enqueue("asks", 1) && opened.health() ? 0 : 1);
  }
  int status = 1;
  wait(&status);
  if (status != 0) return 1;
  Engine engine = must(Engine::open(config));
  engine_of_host = &engine;
  must(engine.handle("asks", answer));
  must(engine.start());
  Json words;
  words.push_back(must(engine.wait(must(engine.enqueue("asks", 1)), 60s)));
  int ends[2];
  if (pipe(ends) != 0) return 1;
  if (fork() == 0) {
    const std::string text = answers_of(engine).dump();
    { const Engine gone = std::move(engine); }
    if (write(ends[1], text.data(), text.size()) < 0) _exit(1);
    _exit(0);
  }
  close(ends[1]);
  std::string text(4096, '\0');
  const ssize_t size = read(ends[0], text.data(), text.size());
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  wait(nullptr);
  words.push_back(Json::parse(text, nullptr, false));
  words.push_back(engine.wait(must(engine.enqueue("asks", 1)), 60s).has_value());
  std::cout << words.dump() << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode == "producer") return serve(argv[2], carrel::Role::kProducer);
  if (mode == "worker") return serve(argv[2], carrel::Role::kWorker);
  if (mode == "signals") return signals(argv[2]);
  if (mode == "hooks") return hooks(argv[2]);
  if (mode == "copies") return copies(argv[2]);
  std::fprintf(
      stderr,
      "usage: engine_host producer|worker STORE | signals|hooks|copies ISOLATION\n");
  return 2;
}
