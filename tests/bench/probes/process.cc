// A child for every job, memory × memory: fork and exec, and the bare fork server.
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <thread>

#include "../limits/fork_server.h"
#include "../limits/warm_pool.h"
#include "host.h"
#include "probe.h"

namespace bench {
namespace {

constexpr auto kPatience = std::chrono::minutes(10);

// Jobs a second of an engine that is ready but for its size, until the result of each is
// stored.
double rate(carrel::Engine& engine, const Options& options) {
  must(engine.ignite());
  const Resident large(options.resident_mb);
  must(engine.start());
  const Stopwatch watch;
  const auto ids = enqueue(engine, "job", arguments(), options.jobs, 64);
  // They begin in order, and end nearly so.
  std::size_t wrong = 0;
  const std::size_t last = ids.size() - std::min<std::size_t>(ids.size(), 64);
  for (std::size_t i = ids.size(); i > last; --i) {
    wrong += must(engine.wait(ids[i - 1], kPatience)).dump().size() != kResult;
  }
  const double took = watch.seconds();
  engine.stop(std::chrono::seconds(5));
  if (wrong != 0 || must(engine.health()).completed != ids.size()) {
    throw std::runtime_error("some jobs failed");
  }
  return static_cast<double>(options.jobs) / took;
}

double fork_rate(const Options& options) {
  carrel::Engine engine = open(with_isolation("fork", options));
  must(engine.handle("job", [](carrel::Context&) { return result(); }));
  return rate(engine, options);
}

// The same in threads: what the engine itself takes of a job.
double thread_rate(const Options& options) {
  carrel::Engine engine = open(with_isolation("thread", options));
  must(engine.handle("job", [](carrel::Context&) { return result(); }));
  return rate(engine, options);
}

// In a host that has another engine, over options.store. The jobs are of one in memory:
// both have the one process server, and nothing but a fork is measured.
double fork_rate_beside(const Options& options) {
  carrel::Config config = with_isolation("fork", options);
  carrel::Engine jobs = open(config);
  config.store = options.store;
  carrel::Engine beside = open(std::move(config));
  for (carrel::Engine* engine : {&jobs, &beside}) {
    must(engine->handle("job", [](carrel::Context&) { return result(); }));
  }
  must(beside.start());
  const double jobs_a_second = rate(jobs, options);
  beside.stop(std::chrono::seconds(5));
  return jobs_a_second;
}

// The program of a job, in a sandbox if `profile` is one.
carrel::Config running_echo(const std::string& profile, const Options& options) {
  carrel::Config config = with_isolation("exec", options);
  carrel::KindConfig& kind = config.jobs["job"];
  kind.command = {options.echo};
  kind.pass_env = {};
  kind.sandbox = profile;
  if (profile == "none") return config;
  const std::filesystem::path program = std::filesystem::absolute(options.echo);
  carrel::SandboxProfile standard;
  standard.mounts = {{program.parent_path(), "/program", true}};
  standard.warm = 4;
  config.sandboxes[profile] = standard;
  kind.command = {"/program" / program.filename()};
  return config;
}

double exec_rate(const Options& options) {
  carrel::Engine engine = open(running_echo("none", options));
  return rate(engine, options);
}

double sandbox_rate(const Options& options) {
  carrel::Engine engine = open(running_echo("standard", options));
  return rate(engine, options);
}

// The median time from enqueue to the stored result, one after the other, each after
// `gap` of idleness, in microseconds.
double median_cycle(carrel::Config config, const Options& options) {
  carrel::Engine engine = open(std::move(config));
  must(engine.start());
  std::vector<double> took;
  for (std::size_t i = 0; i < options.jobs; ++i) {
    std::this_thread::sleep_for(options.gap);
    const Stopwatch watch;
    must(engine.wait(must(engine.enqueue("job", arguments())), kPatience));
    took.push_back(watch.seconds() * 1e6);
  }
  engine.stop(std::chrono::seconds(5));
  const auto middle = took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2);
  std::nth_element(took.begin(), middle, took.end());
  return *middle;
}

double exec_cycle(const Options& options) {
  return median_cycle(running_echo("none", options), options);
}

double sandbox_cycle(const Options& options) {
  return median_cycle(running_echo("standard", options), options);
}

double bare_fork_rate(const Options& options) {
  ForkServer server;
  const Resident large(options.resident_mb);
  return static_cast<double>(options.jobs) /
         server.run(options.jobs, options.concurrency);
}

// As many children as the engine has: some run, and as many wait.
double bare_warm_rate(const Options& options) {
  WarmPool pool(2 * options.concurrency, options.recycle);
  const Resident large(options.resident_mb);
  return static_cast<double>(options.jobs) / pool.run(options.jobs, options.concurrency);
}

}  // namespace

std::map<std::string, Probe> process_probes() {
  return {{"fork.rate", fork_rate},         {"fork.beside", fork_rate_beside},
          {"thread.rate", thread_rate},     {"exec.rate", exec_rate},
          {"exec.cycle", exec_cycle},       {"sandbox.rate", sandbox_rate},
          {"sandbox.cycle", sandbox_cycle}, {"limit.fork", bare_fork_rate},
          {"limit.warm", bare_warm_rate}};
}

}  // namespace bench
