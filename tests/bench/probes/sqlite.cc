// SQLite with synchronous=FULL, the store as its own queue, isolation thread.
#include <filesystem>
#include <thread>

#include "probe.h"

namespace bench {
namespace {

carrel::Config fresh_database(const Options& options, const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(options.scratch) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  carrel::Config config;
  config.store = "sqlite:" + (folder / "jobs.db").string();
  return config;
}

// Enqueue, claim and finish with its history, `batch` jobs a transaction: jobs a second
// from the first enqueue to the last finish.
double cycle(const Options& options) {
  carrel::Config config = fresh_database(options, "cycle");
  config.worker.concurrency = 2;
  config.worker.prefetch = options.batch;
  Countdown done(options.jobs);
  carrel::Engine engine = open(std::move(config));
  must(engine.handle("noop", [](carrel::Context&) {}));
  engine.on_finished([&](const carrel::Event&) { done.one(); });
  must(engine.start());
  const Stopwatch watch;
  enqueue(engine, "noop", nullptr, options.jobs, options.batch);
  done.wait();
  const double took = watch.seconds();
  engine.stop(std::chrono::seconds(5));
  return static_cast<double>(options.jobs) / took;
}

// One call a job from each of some threads: jobs a second.
double enqueue_by_threads(const Options& options) {
  carrel::Config config = fresh_database(options, "enqueue");
  config.role = carrel::Role::kProducer;
  carrel::Engine engine = open(std::move(config));
  must(engine.ignite());
  const std::size_t each = options.jobs / options.threads;
  const Stopwatch watch;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < options.threads; ++i) {
    threads.emplace_back([&] { enqueue(engine, "noop", nullptr, each, 1); });
  }
  threads.clear();
  return static_cast<double>(each * options.threads) / watch.seconds();
}

double latency(const Options& options) {
  carrel::Config config = fresh_database(options, "latency");
  config.worker.concurrency = 2;
  return median_latency(std::move(config), options);
}

}  // namespace

std::map<std::string, Probe> sqlite_probes() {
  return {{"sqlite.cycle", cycle},
          {"sqlite.enqueue", enqueue_by_threads},
          {"sqlite.latency", latency}};
}

}  // namespace bench
