// The engine as one of several job engines under one driver, with no-op jobs.
//
//   peer [--store URL] [--queue URL] [--isolation NAME] [--ahead N] [--forget] COMMAND
//     reset                 an empty store (SQLite's files, a database of PostgreSQL,
//     which
//                           loses all that is in it)
//     enqueue N             N jobs, one call each       {"n": N, "seconds": s}
//     bulk N                N jobs, 1,000 a call        {"n": N, "seconds": s}
//     drain N C             runs N waiting jobs, C at once; from before the first is
//                           claimed until the last is recorded  {"n": N, "seconds": s}
//                           (memory: has no jobs of another process; it enqueues them
//                           first, off the clock)
//     worker OUT C          prints READY, then appends to OUT, for every job, the ns from
//                           its send to its handler; until SIGTERM
//     send N GAPMIN GAPMAX  N jobs for it, each after a random gap in ms
#include <carrel/engine.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fs = std::filesystem;
constexpr std::size_t kBulk = 1000;  // jobs a call

template <class T>
T must(carrel::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

struct Peer {
  std::string store = "memory:";
  std::string queue;
  std::string isolation = "thread";
  std::size_t ahead = 2000;  // claimed beyond the free slots: no-op jobs are short
  bool forget = false;       // what is completed is not kept

  carrel::Config config(carrel::Role role) const {
    carrel::Config config;
    config.store = store;
    config.queue = queue;
    config.role = role;
    config.log.level = carrel::LogLevel::kWarn;
    config.jobs["noop"].isolation = isolation;
    config.jobs["stamp"].isolation = isolation;
    if (forget) config.retention.completed = carrel::Duration{0};
    return config;
  }
  carrel::Engine producer() const {
    carrel::Engine engine = must(carrel::Engine::open(config(carrel::Role::kProducer)));
    must(engine.ignite());
    return engine;
  }

  void reset() const;
  double enqueue(std::size_t jobs) const;
  double bulk(std::size_t jobs) const;
  double drain(std::size_t jobs, std::size_t concurrency) const;
  void work(const std::string& out, std::size_t concurrency) const;
  void send(std::size_t jobs, double gap_min_ms, double gap_max_ms) const;
};

double since(std::int64_t begin) {
  return static_cast<double>(monotonic_ns() - begin) / 1e9;
}

// By PostgreSQL's own client: this program has none in it, as what it forks is measured.
void empty_postgresql(const std::string& url) {
  std::vector<std::string> words = {
      "psql",
      "--quiet",
      "--no-psqlrc",
      "--dbname=" + url,
      "--command",
      "SET client_min_messages = error; DROP SCHEMA public CASCADE;"
      " CREATE SCHEMA public"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  int status = 0;
  if (posix_spawnp(&child, "psql", nullptr, nullptr, arguments.data(), environ) != 0 ||
      waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error("reset: psql could not empty " + url);
  }
}

void Peer::reset() const {
  constexpr std::string_view kSqlite = "sqlite:";
  if (store.starts_with(kSqlite)) {
    const fs::path file(store.substr(kSqlite.size(), store.find('?') - kSqlite.size()));
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    const std::string name = file.filename();
    for (const auto& entry : fs::directory_iterator(folder)) {
      // The database, and what lies beside it under its name (-wal, -shm, the lock).
      if (entry.path().filename().string().starts_with(name)) fs::remove(entry.path());
    }
  } else if (store.starts_with("postgresql:")) {
    empty_postgresql(store);
    Peer migrated = *this;
    migrated.store += "?migrate=on";
    migrated.producer();
    return;
  } else if (store != "memory:") {
    throw std::runtime_error("reset: do not know how to empty " + store);
  }
  producer();
}

double Peer::enqueue(std::size_t jobs) const {
  carrel::Engine engine = producer();
  const std::int64_t begin = monotonic_ns();
  for (std::size_t i = 0; i < jobs; ++i) must(engine.enqueue("noop"));
  return since(begin);
}

void fill(carrel::Engine& engine, std::size_t jobs) {
  const std::vector<carrel::Request> requests(kBulk,
                                              carrel::Request{"noop", nullptr, {}});
  for (std::size_t sent = 0; sent < jobs;) {
    const std::size_t now = std::min(kBulk, jobs - sent);
    for (auto& id : engine.enqueue(std::span(requests).first(now))) must(std::move(id));
    sent += now;
  }
}

double Peer::bulk(std::size_t jobs) const {
  carrel::Engine engine = producer();
  const std::int64_t begin = monotonic_ns();
  fill(engine, jobs);
  return since(begin);
}

double Peer::drain(std::size_t jobs, std::size_t concurrency) const {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t done = 0;
  carrel::Config with = config(carrel::Role::kWorker);
  with.worker.concurrency = concurrency;
  with.worker.prefetch = isolation == "thread" ? ahead : concurrency;
  carrel::Engine engine = must(carrel::Engine::open(std::move(with)));
  must(engine.handle("noop", [](carrel::Context&) {}));
  engine.on_finished([&](const carrel::Event&) {
    const std::lock_guard lock(mutex);
    if (++done == jobs) changed.notify_all();
  });
  must(engine.ignite());
  if (engine.store().traits().reach == carrel::Reach::kProcess) fill(engine, jobs);
  const std::int64_t begin = monotonic_ns();
  must(engine.start());
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done >= jobs; });
  }
  const double seconds = since(begin);
  engine.stop(std::chrono::seconds(5));
  return seconds;
}

void Peer::work(const std::string& out, std::size_t concurrency) const {
  carrel::Config with = config(carrel::Role::kWorker);
  with.worker.concurrency = concurrency;
  carrel::Engine engine = must(carrel::Engine::open(std::move(with)));
  must(engine.handle("stamp", [out](carrel::Context& job) {
    const std::int64_t now = monotonic_ns();
    const std::string line = std::to_string(now - job.args().get<std::int64_t>()) + '\n';
    // Opened for every job: a forked child has no descriptor of its host's.
    const int fd = open(out.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    const bool written = fd >= 0 && write(fd, line.data(), line.size()) ==
                                        static_cast<ssize_t>(line.size());
    close(fd);
    if (!written) throw std::runtime_error("cannot append to " + out);
  }));
  must(engine.ignite());
  std::puts("READY");
  std::fflush(stdout);
  must(engine.run());
}

void Peer::send(std::size_t jobs, double gap_min_ms, double gap_max_ms) const {
  carrel::Engine engine = producer();
  std::mt19937 random(std::random_device{}());
  std::uniform_real_distribution<double> gap(gap_min_ms, gap_max_ms);
  for (std::size_t i = 0; i < jobs; ++i) {
    std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(gap(random)));
    must(engine.enqueue("stamp", monotonic_ns()));
  }
}

void print(std::size_t jobs, double seconds) {
  std::printf("{\"n\": %zu, \"seconds\": %.6f}\n", jobs, seconds);
}

}  // namespace

int main(int argc, char** argv) {
  Peer peer;
  std::size_t jobs = 0;
  std::size_t concurrency = 1;
  std::string out;
  double gap_min = 0;
  double gap_max = 0;
  CLI::App app("Carrel under the driver that measures job engines side by side.", "peer");
  app.add_option("--store", peer.store, "URL")->capture_default_str();
  app.add_option("--queue", peer.queue, "URL; by default the store is its own queue");
  app.add_option("--isolation", peer.isolation)->capture_default_str();
  app.add_option("--ahead", peer.ahead, "Jobs claimed beyond the free slots");
  app.add_flag("--forget", peer.forget, "Keep nothing of completed jobs");
  app.require_subcommand(1);
  auto* reset = app.add_subcommand("reset", "An empty store");
  auto* enqueue = app.add_subcommand("enqueue", "One call a job");
  auto* bulk = app.add_subcommand("bulk", "1,000 jobs a call");
  auto* drain = app.add_subcommand("drain", "Run the jobs that wait");
  auto* worker = app.add_subcommand("worker", "Append latencies to a file until SIGTERM");
  auto* send = app.add_subcommand("send", "Jobs for the worker, with gaps between");
  for (auto* command : {enqueue, bulk, drain, send}) {
    command->add_option("N", jobs)->required();
  }
  worker->add_option("OUT", out)->required();
  for (auto* command : {drain, worker}) {
    command->add_option("C", concurrency)->required()->check(CLI::PositiveNumber);
  }
  send->add_option("GAPMIN", gap_min, "ms")->required();
  send->add_option("GAPMAX", gap_max, "ms")->required();
  CLI11_PARSE(app, argc, argv);

  try {
    if (*reset) peer.reset();
    if (*enqueue) print(jobs, peer.enqueue(jobs));
    if (*bulk) print(jobs, peer.bulk(jobs));
    if (*drain) print(jobs, peer.drain(jobs, concurrency));
    if (*worker) peer.work(out, concurrency);
    if (*send) peer.send(jobs, gap_min, gap_max);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "peer: %s\n", e.what());
    return 1;
  }
}
