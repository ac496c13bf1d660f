// A child for every job, memory × memory: fork and exec, and the bare fork server.
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstring>
#include <filesystem>
#include <iterator>
#include <thread>

#include "../limits/fork_server.h"
#include "../limits/warm_pool.h"
#include "probe.h"

namespace bench {
namespace {

constexpr std::size_t kArguments = 200;  // bytes, in and out, as the limits move them
constexpr std::size_t kResult = 1024;

// So many MiB of this process, in memory until it ends. Small pages, as a heap has them.
class Resident {
 public:
  explicit Resident(std::size_t mb) : bytes_(mb << 20) {
    if (bytes_ == 0) return;
    memory_ =
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::runtime_error("no memory to be large with");
    madvise(memory_, bytes_, MADV_NOHUGEPAGE);
    std::memset(memory_, 1, bytes_);
  }
  ~Resident() {
    if (bytes_ != 0) munmap(memory_, bytes_);
  }
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;

 private:
  std::size_t bytes_;
  void* memory_ = nullptr;
};

carrel::Json arguments() {
  const carrel::Json empty = {{"data", ""}};
  return {{"data", std::string(kArguments - empty.dump().size(), 'a')}};
}

carrel::Json result() { return std::string(kResult - 2, 'x'); }  // and two quotes

carrel::Config with_isolation(const std::string& isolation, const Options& options) {
  carrel::Config config;
  config.store = "memory:";
  config.worker.concurrency = options.concurrency;
  config.jobs["job"].isolation = isolation;
  return config;
}

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

// As many idle children as the engine keeps, see warm_config().
double bare_warm_rate(const Options& options) {
  WarmPool pool(2 * options.concurrency, options.recycle);
  const Resident large(options.resident_mb);
  return static_cast<double>(options.jobs) / pool.run(options.jobs, options.concurrency);
}

std::size_t own_threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

// The threads of this process while `jobs` children run.
double threads_beside_children(const Options& options) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;  // every child has pipes
  setrlimit(RLIMIT_NOFILE, &files);
  carrel::Engine engine = open(with_isolation("fork", options));
  must(engine.handle("job", [](carrel::Context& job) {
    job.progress(0.5);
    while (!job.stopping()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }));
  must(engine.start());
  enqueue(engine, "job", arguments(), options.jobs, 64);
  const Stopwatch watch;
  const carrel::Filter running{{carrel::State::kRunning}, {}, {}, {}};
  std::size_t begun = 0;
  while (begun < options.jobs) {  // every child has said that it runs
    if (watch.seconds() > 60) throw std::runtime_error("the children did not all start");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    begun = 0;
    for (const auto& row : must(engine.list(running, {}, options.jobs))) {
      begun += row.progress.has_value();
    }
  }
  const std::size_t threads = own_threads();
  engine.stop(std::chrono::seconds(10));
  return static_cast<double>(threads);
}

}  // namespace

std::map<std::string, Probe> process_probes() {
  return {{"fork.rate", fork_rate},
          {"fork.threads", threads_beside_children},
          {"exec.rate", exec_rate},
          {"limit.fork", bare_fork_rate},
          {"limit.warm", bare_warm_rate}};
}

}  // namespace bench
