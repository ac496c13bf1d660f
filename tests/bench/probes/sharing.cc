#include "sharing.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <random>
#include <thread>

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;  // one for all processes of a machine

struct Pipe {
  Pipe() {
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  }
  ~Pipe() {
    close_in();
    close_out();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_in() { close(std::exchange(ends[1], -1)); }
  void close_out() { close(std::exchange(ends[0], -1)); }
  template <class T>
  bool read(T& value) const {
    return ::read(ends[0], &value, sizeof value) == sizeof value;
  }
  template <class T>
  bool write(const T& value) const {
    return ::write(ends[1], &value, sizeof value) == sizeof value;
  }

  int ends[2] = {-1, -1};
};

// What its parent has is not destroyed there.
template <class Work>
[[noreturn]] void in_child(Work work) {
  try {
    work();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "a worker: %s\n", e.what());
    _exit(1);
  }
  _exit(0);
}

double median(std::vector<double> of) {
  std::nth_element(of.begin(), of.begin() + of.size() / 2, of.end());
  return of[of.size() / 2];
}

// Processes with an engine each, which tell of every job that they start.
class Workers {
 public:
  struct Start {
    Clock::time_point at;
    pid_t worker = 0;
  };

  // `hang`: the first attempt of a job does not end.
  Workers(carrel::Config config, bool hang) : config_(std::move(config)), hang_(hang) {}
  ~Workers() {
    while (!workers_.empty()) end(workers_.back());
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void add() {
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("no process");
    if (child == 0) in_child([this] { work(); });
    workers_.push_back(child);
    next_start();  // that of the engine
  }
  Start next_start() const {
    constexpr int kPatienceMs = 60'000;
    pollfd readable{starts_.ends[0], POLLIN, 0};
    Start start;
    if (poll(&readable, 1, kPatienceMs) != 1 || !starts_.read(start)) {
      throw std::runtime_error("a worker failed");
    }
    return start;
  }
  void end(pid_t worker) {
    kill(worker, SIGKILL);
    waitpid(worker, nullptr, 0);
    std::erase(workers_, worker);
  }

 private:
  void work() const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    carrel::Engine engine = open(config_);
    must(engine.handle("stamp", [this](carrel::Context& job) {
      starts_.write(Start{Clock::now(), getpid()});
      while (hang_ && job.attempt() == 1) pause();
    }));
    must(engine.start());
    starts_.write(Start{Clock::now(), getpid()});
    for (;;) pause();
  }

  const carrel::Config config_;
  const bool hang_;
  Pipe starts_;
  std::vector<pid_t> workers_;
};

carrel::Engine producer(carrel::Config config) {
  config.role = carrel::Role::kProducer;
  carrel::Engine engine = open(std::move(config));
  must(engine.ignite());
  return engine;
}

}  // namespace

double drain_by_processes(const std::string& url, const Options& options, bool shares) {
  carrel::Config config;
  config.store = url;
  config.worker.concurrency = 2;
  config.worker.prefetch = options.batch;
  Pipe start;
  Pipe done;
  std::vector<pid_t> children;
  for (std::size_t i = 0; i < options.threads; ++i) {
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("no process");
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    start.close_in();
    in_child([&] {
      char byte = 0;
      start.read(byte);  // ends when all jobs are there
      carrel::Engine engine = open(config);
      std::atomic<std::size_t> jobs{0};
      must(engine.handle("noop", [&](carrel::Context&) { ++jobs; }));
      must(engine.drain());
      if (!done.write(jobs.load())) throw std::runtime_error("nobody hears");
    });
  }
  start.close_out();
  done.close_in();
  {
    carrel::Engine engine = open(config);
    must(engine.handle("noop", [](carrel::Context&) {}));
    enqueue(engine, "noop", nullptr, options.jobs, 1000);
  }
  const Stopwatch watch;
  start.close_in();
  for (const pid_t child : children) {
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) {
      throw std::runtime_error("a worker failed");
    }
  }
  const double took = watch.seconds();
  carrel::Engine engine = open(config);
  const auto counts = must(engine.health()).counts;
  if (counts.total[static_cast<std::size_t>(carrel::State::kCompleted)] != options.jobs) {
    throw std::runtime_error("not every job is completed");
  }
  double off = 0;
  for (std::size_t jobs = 0; done.read(jobs);) {
    const double alike =
        static_cast<double>(options.jobs) / static_cast<double>(options.threads);
    off = std::max(off, std::abs(static_cast<double>(jobs) / alike - 1));
  }
  if (shares) return off;
  return static_cast<double>(options.jobs) / took;
}

double latency_between_processes(const std::string& url, const Options& options) {
  carrel::Config config;
  config.store = url;
  config.worker.concurrency = 2;
  Workers workers(config, false);
  workers.add();
  carrel::Engine engine = producer(config);
  std::vector<double> took;
  std::minstd_rand random(1);
  std::uniform_real_distribution<double> part(0, 2);
  for (std::size_t i = 0; i < options.jobs; ++i) {
    std::this_thread::sleep_for(options.gap * part(random));
    const auto sent = Clock::now();
    must(engine.enqueue("stamp"));
    const auto started = workers.next_start().at - sent;
    took.push_back(std::chrono::duration<double, std::micro>(started).count());
  }
  return median(std::move(took));
}

double rescue(const std::string& url, const Options& options) {
  carrel::Config config;
  config.store = url;
  config.worker.concurrency = 2;
  config.worker.lease = std::chrono::seconds(2);
  Workers workers(config, true);
  workers.add();
  std::vector<double> took;
  for (std::size_t i = 0; i < options.jobs; ++i) {
    workers.add();
    must(producer(config).enqueue("stamp"));
    const pid_t victim = workers.next_start().worker;
    const auto killed = Clock::now();
    workers.end(victim);
    const auto rescued = workers.next_start().at - killed;
    took.push_back(std::chrono::duration<double>(rescued).count());
  }
  return median(std::move(took));
}

}  // namespace bench
