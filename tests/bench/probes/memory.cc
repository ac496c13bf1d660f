// memory × memory, isolation thread, two workers.
#include "probe.h"

namespace bench {
namespace {

carrel::Config two_workers() {
  carrel::Config config;
  config.store = "memory:";
  config.worker.concurrency = 2;
  config.worker.prefetch = 254;  // these jobs are as short as jobs can be
  return config;
}

// Jobs enqueued by one thread while two workers run them: jobs a second from the first
// enqueue until the last has run and the threads are joined, which is what its limit takes.
double rate(const Options& options) {
  Countdown done(options.jobs);
  carrel::Engine engine = open(two_workers());
  must(engine.handle("noop", [&](carrel::Context&) { done.one(); }));
  must(engine.start());
  const Stopwatch watch;
  enqueue(engine, "noop", nullptr, options.jobs, options.batch);
  done.wait();
  engine.stop(std::chrono::seconds(5));
  return static_cast<double>(options.jobs) / watch.seconds();
}

double latency(const Options& options) { return median_latency(two_workers(), options); }

// MiB in memory after so many jobs, of which never more than 10,000 wait.
double resident(const Options& options) {
  constexpr std::size_t kRound = 10'000;
  Countdown done(options.jobs);
  carrel::Engine engine = open(two_workers());
  must(engine.handle("noop", [](carrel::Context&) {}));
  engine.on_finished([&](const carrel::Event&) { done.one(); });
  must(engine.start());
  for (std::size_t left = options.jobs; left > 0;) {
    const std::size_t now = std::min(kRound, left);
    enqueue(engine, "noop", nullptr, now, 64);
    left -= now;
    done.wait_below(left + 1);
  }
  const double mib = static_cast<double>(resident_bytes()) / (1 << 20);
  engine.stop(std::chrono::seconds(5));
  return mib;
}

}  // namespace

std::map<std::string, Probe> memory_probes() {
  return {
      {"memory.rate", rate}, {"memory.latency", latency}, {"memory.resident", resident}};
}

}  // namespace bench
