// What forked children cost their host beside the jobs: latency, memory, time.
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <thread>

#include "host.h"
#include "probe.h"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

carrel::Engine answering(const Options& options) {
  carrel::Engine engine = open(with_isolation("fork", options));
  must(engine.handle("job", [](carrel::Context&) { return result(); }));
  return engine;
}

// Microseconds from before an enqueue to when its result is stored and the caller has it,
// one job in each gap. `share`: 0.5 is the median.
double round_trip(const Options& options, double share) {
  carrel::Engine engine = answering(options);
  must(engine.ignite());
  const Resident large(options.resident_mb);
  must(engine.start());
  std::vector<double> took;
  auto next = Clock::now();
  while (took.size() < options.jobs) {
    std::this_thread::sleep_until(next += options.gap);
    const auto sent = Clock::now();
    must(engine.wait(must(engine.enqueue("job", arguments())), std::chrono::minutes(1)));
    took.push_back(
        std::chrono::duration<double, std::micro>(Clock::now() - sent).count());
  }
  engine.stop(std::chrono::seconds(5));
  const auto at = took.begin() + static_cast<std::ptrdiff_t>(
                                     static_cast<double>(took.size() - 1) * share);
  std::nth_element(took.begin(), at, took.end());
  return *at;
}

double round_trip_p50(const Options& options) { return round_trip(options, 0.5); }
double round_trip_p99(const Options& options) { return round_trip(options, 0.99); }

// Pages that another thread of a large host writes in a second of its own processor time,
// while `jobs` jobs run, one in each gap; none: for a second. Its own time: what is asked
// is whether forks make its writes dearer, not whether it has a processor to itself.
double writer(const Options& options) {
  carrel::Engine engine = answering(options);
  Countdown done(options.jobs);
  engine.on_finished([&](const carrel::Event&) { done.one(); });
  must(engine.ignite());
  const Resident large(options.resident_mb);
  must(engine.start());
  std::atomic<bool> stop{false};
  double rate = 0;
  std::thread thread([&] {
    constexpr std::size_t kPage = 4096;
    std::size_t written = 0;
    timespec begin{};
    timespec end{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (std::size_t at = 0; !stop; at = (at + kPage) % large.size(), ++written) {
      large.begin()[at] = large.begin()[at] + 1;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    rate = static_cast<double>(written) /
           (static_cast<double>(end.tv_sec - begin.tv_sec) +
            1e-9 * static_cast<double>(end.tv_nsec - begin.tv_nsec));
  });
  auto next = Clock::now();
  for (std::size_t sent = 0; sent < options.jobs; ++sent) {
    std::this_thread::sleep_until(next += options.gap);
    must(engine.enqueue("job", arguments()));
  }
  if (options.jobs == 0) std::this_thread::sleep_for(std::chrono::seconds(1));
  done.wait();
  stop = true;
  thread.join();
  engine.stop(std::chrono::seconds(5));
  return rate;
}

// A host with `jobs` children that run and say nothing more.
class Busy {
 public:
  explicit Busy(const Options& options) : engine_(open(with_isolation("fork", options))) {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;  // the host has a descriptor for each
    setrlimit(RLIMIT_NOFILE, &files);
    must(engine_.handle("job", [](carrel::Context& job) {
      job.progress(0.5);
      while (!job.stopping()) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }));
    must(engine_.start());
    before_ = resident_bytes();
    enqueue(engine_, "job", arguments(), options.jobs, 64);
    const Stopwatch watch;
    const carrel::Filter running{{carrel::State::kRunning}, {}, {}, {}};
    for (std::size_t begun = 0; begun < options.jobs;) {
      if (watch.seconds() > 60) throw std::runtime_error("not all children have started");
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      begun = 0;
      for (const auto& row : must(engine_.list(running, {}, options.jobs))) {
        begun += row.progress.has_value();
      }
    }
  }
  ~Busy() { engine_.stop(std::chrono::seconds(10)); }
  std::size_t resident_before() const { return before_; }

 private:
  carrel::Engine engine_;
  std::size_t before_ = 0;
};

// The threads of this process while they run.
double threads_beside_children(const Options& options) {
  const Busy busy(options);
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<double>(std::distance(begin(tasks), end(tasks)));
}

// KiB of this process for each of them.
double memory_beside_children(const Options& options) {
  const Busy busy(options);
  const std::size_t now = resident_bytes();
  return static_cast<double>(now - std::min(now, busy.resident_before())) / 1024 /
         static_cast<double>(options.jobs);
}

// Per cent of a processor that this process takes while they run.
double time_beside_children(const Options& options) {
  const Busy busy(options);
  const auto used = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  };
  const double before = used();
  const Stopwatch watch;
  std::this_thread::sleep_for(std::chrono::seconds(5));
  return 100 * (used() - before) / watch.seconds();
}

}  // namespace

std::map<std::string, Probe> fork_probes() {
  return {{"fork.p50", round_trip_p50},
          {"fork.p99", round_trip_p99},
          {"fork.writer", writer},
          {"fork.threads", threads_beside_children},
          {"fork.memory", memory_beside_children},
          {"fork.time", time_beside_children}};
}

}  // namespace bench
