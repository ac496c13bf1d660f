#include "runner.h"

#include <carrel/engine.h>
#include <sys/resource.h>
#include <trial/child.h>
#include <trial/scratch.h>
#include <trial/usage.h>

#include <condition_variable>
#include <fstream>
#include <mutex>

#include "counting_store.h"

namespace convert_web {
namespace {

using carrel::Json;
using carrel::OutcomeClass;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{540};

// What became of the conversions, told from the engine's thread.
class Tally {
 public:
  void ended(const carrel::Event& event) {
    const std::scoped_lock lock(mutex_);
    if (!is_final(event.state)) return;
    ++ended_;
    changed_.notify_all();
    const carrel::Outcome& outcome = event.outcome;
    if (outcome.klass == OutcomeClass::kOk) {
      ++result_.converted;
      result_.reports += Json::parse(outcome.result).at("reports").get<std::uint64_t>();
      return;
    }
    const auto job = Json::parse(event.job.payload).get<ConversionJob>();
    if (outcome.klass == OutcomeClass::kDiscarded) {
      result_.refused[job.output] = outcome.error.message;
    } else if (outcome.klass == OutcomeClass::kExitNonzero) {
      // A program says it on stderr.
      const std::string& said = outcome.stderr_tail;
      result_.refused[job.output] = said.substr(0, said.find('\n'));
    } else {
      ++result_.crashed[std::string(to_string(outcome.klass)) + ": " +
                        outcome.error.message];
    }
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return ended_ >= count; });
  }
  TrialResult take() {
    const std::scoped_lock lock(mutex_);
    return std::move(result_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t ended_ = 0;
  TrialResult result_;
};

carrel::Config config_of(const TrialWork& work, const std::filesystem::path& folder) {
  carrel::Config config;
  // Behind another scheme the engine does not know what a relative path is.
  const std::string file = "sqlite:";
  config.store =
      "counting:" + (work.store.starts_with(file)
                         ? file + (folder / work.store.substr(file.size())).string()
                         : work.store);
  config.directory = folder;
  config.worker.concurrency = work.at_once;
  config.worker.queues = {work.queue};
  config.log.level = carrel::LogLevel::kError;
  carrel::KindConfig& convert = config.jobs["convert"];
  convert.isolation = work.way;
  convert.queue = work.queue;
  convert.timeout = std::chrono::seconds(60);
  convert.max_attempts = 1;
  if (work.way == "exec") {
    convert.command = {std::filesystem::read_symlink("/proc/self/exe").string(),
                       "--convert"};
  }
  return config;
}

// Resident now, in bytes.
std::uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

TrialResult failure(std::string why) {
  TrialResult result;
  result.error = std::move(why);
  return result;
}

TrialResult run(const TrialWork& work, const std::filesystem::path& folder) {
  Tally tally;  // outlives the engine, whose hook tells it
  const auto writes = std::make_shared<Writes>();
  carrel::Registry registry = carrel::Registry::with_builtins();
  add_counting_store(registry, writes);
  auto opened = carrel::Engine::open(config_of(work, folder), std::move(registry));
  if (!opened) return failure(opened.error().message);
  carrel::Engine& engine = *opened;
  std::ignore = engine.handle<ConversionJob>(
      "convert", [](carrel::Context& context, const ConversionJob& job) {
        return run_conversion(context, job);
      });
  engine.on_finished([&](const carrel::Event& event) { tally.ended(event); });
  if (auto started = engine.start(); !started) return failure(started.error().message);

  std::vector<carrel::Request> requests;
  for (const ConversionJob& job : work.jobs) requests.push_back({"convert", Json(job)});
  const double cpu = trial::cpu_seconds(RUSAGE_SELF);
  const std::uint64_t before = resident_bytes();
  const auto start = steady_clock::now();
  for (const auto& id : engine.enqueue(requests)) {
    if (!id) return failure("enqueue: " + id.error().message);
  }
  const bool all = tally.wait_for(work.jobs.size());
  const std::chrono::duration<double> took = steady_clock::now() - start;
  engine.stop(std::chrono::seconds(5));
  TrialResult result = tally.take();
  result.seconds = took.count();
  result.before_bytes = before;
  result.peak_bytes = trial::peak_bytes();
  result.cpu_seconds = trial::cpu_seconds(RUSAGE_SELF) - cpu;
  result.beats = writes->beats;
  result.progress_writes = writes->progress;
  if (!all) result.error = "the conversions did not end in time";
  return result;
}

}  // namespace

int run_trial(const std::filesystem::path& folder) {
  trial::begin(folder);
  TrialResult result;
  try {
    // What leaks most is what the kernel should end first, should memory run out.
    trial::write_file("/proc/self/oom_score_adj", "1000");
    result = run(Json::parse(trial::content_of(folder / "work.json")).get<TrialWork>(),
                 folder);
  } catch (const std::exception& e) {
    result.error = e.what();
  }
  return trial::write_file(folder / "result.json", Json(result).dump()) ? 0 : 1;
}

}  // namespace convert_web
