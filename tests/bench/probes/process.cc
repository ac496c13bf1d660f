// A child for every job, memory × memory: fork and exec, and the bare fork server.

#include "../limits/fork_server.h"
#include "../limits/warm_pool.h"
#include "host.h"
#include "probe.h"

namespace bench {
namespace {

// Jobs a second of an engine that is ready but for its size.
double rate(carrel::Engine& engine, const Options& options) {
  Countdown done(options.jobs);
  std::size_t wrong = 0;
  engine.on_finished([&](const carrel::Event& event) {
    wrong += event.outcome.klass != carrel::OutcomeClass::kOk ||
             event.outcome.result.size() != kResult;
    done.one();
  });
  must(engine.ignite());
  const Resident large(options.resident_mb);
  must(engine.start());
  const Stopwatch watch;
  enqueue(engine, "job", arguments(), options.jobs, 64);
  done.wait();
  const double took = watch.seconds();
  engine.stop(std::chrono::seconds(5));
  if (wrong != 0) throw std::runtime_error("some jobs failed");
  return static_cast<double>(options.jobs) / took;
}

double fork_rate(const Options& options) {
  carrel::Engine engine = open(with_isolation("fork", options));
  must(engine.handle("job", [](carrel::Context&) { return result(); }));
  return rate(engine, options);
}

double exec_rate(const Options& options) {
  carrel::Config config = with_isolation("exec", options);
  config.jobs["job"].command = {options.echo};
  config.jobs["job"].pass_env = {};
  carrel::Engine engine = open(std::move(config));
  return rate(engine, options);
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
  return {{"fork.rate", fork_rate},
          {"exec.rate", exec_rate},
          {"limit.fork", bare_fork_rate},
          {"limit.warm", bare_warm_rate}};
}

}  // namespace bench
