#include "runner.h"

#include <carrel/engine.h>
#include <carrel/fork_to.h>
#include <sys/resource.h>
#include <trial/child.h>
#include <trial/leftovers.h>
#include <trial/usage.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "upload.h"

namespace s3 {
namespace {

using carrel::Json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::uint16_t kMaxAttempts = 10;
constexpr milliseconds kRetryAfter{50};
constexpr std::chrono::seconds kPatience{600};

// What became of the uploads, told from many threads.
class Tally {
 public:
  void failed(std::string_view how, const std::string& why) {
    const std::scoped_lock lock(mutex_);
    if (result_.failed.empty()) result_.why = why;
    ++result_.failed[std::string(how)];
  }
  void ended(bool well) {
    const std::scoped_lock lock(mutex_);
    ++(well ? result_.completed : result_.given_up);
    changed_.notify_all();
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(
        lock, kPatience, [&] { return result_.completed + result_.given_up >= count; });
  }
  TrialResult take() {
    const std::scoped_lock lock(mutex_);
    return std::move(result_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  TrialResult result_;
};

carrel::Config config_of(const TrialWork& work, const std::filesystem::path& folder) {
  carrel::Config config;
  config.store = work.store;
  config.directory = folder;
  config.worker.concurrency = work.at_once;
  config.worker.warm = work.at_once;
  config.worker.queues = {work.queue};
  config.log.level = carrel::LogLevel::kError;
  carrel::KindConfig& upload = config.jobs["upload"];
  upload.isolation = work.way;
  upload.queue = work.queue;
  upload.timeout = milliseconds(work.timeout_ms);
  upload.stop_grace = milliseconds(50);  // the client cannot be asked to stop
  upload.term_grace = milliseconds(200);
  upload.max_attempts = kMaxAttempts;
  upload.retry = {kRetryAfter, 0, kRetryAfter, 0.5, 0};
  return config;
}

TrialResult failure(std::string why) {
  TrialResult result;
  result.error = std::move(why);
  return result;
}

// Through the engine: a job a file.
TrialResult run_jobs(const TrialWork& work, const std::filesystem::path& folder) {
  Tally tally;  // outlives the engine, whose hook tells it
  auto opened = carrel::Engine::open(config_of(work, folder));
  if (!opened) return failure(opened.error().message);
  carrel::Engine& engine = *opened;
  std::ignore = engine.handle<UploadJob>(
      "upload", [](carrel::Context&, const UploadJob& job) { return upload(job); });
  engine.on_finished([&](const carrel::Event& event) {
    if (event.outcome.klass != carrel::OutcomeClass::kOk) {
      tally.failed(event.outcome.klass == carrel::OutcomeClass::kFailed
                       ? carrel::to_string(event.outcome.error.code)  // the client's own
                       : carrel::to_string(event.outcome.klass),
                   event.outcome.error.message);
    }
    if (is_final(event.state)) tally.ended(event.state == carrel::State::kCompleted);
  });
  if (auto started = engine.start(); !started) return failure(started.error().message);

  std::vector<carrel::Request> requests;
  for (std::size_t i = 0; i < work.files.size(); ++i) {
    requests.push_back({"upload", Json(UploadJob{work.files[i], work.keys[i]})});
  }
  const auto start = steady_clock::now();
  for (const auto& id : engine.enqueue(requests)) {
    if (!id) return failure("enqueue: " + id.error().message);
  }
  const bool all = tally.wait_for(work.files.size());
  const std::chrono::duration<double> took = steady_clock::now() - start;
  engine.stop(std::chrono::seconds(5));
  TrialResult result = tally.take();
  result.seconds = took.count();
  if (!all) result.error = "the uploads did not end in time";
  return result;
}

// Without the engine: each of so many threads takes the next file and runs the client in
// a child of this process, until it went well.
TrialResult run_calls(const TrialWork& work) {
  Tally tally;
  std::atomic<std::size_t> next{0};
  const auto call = [&] {
    for (std::size_t i = 0; (i = next++) < work.files.size();) {
      const UploadJob job{work.files[i], work.keys[i]};
      bool done = false, for_good = false;
      for (int attempt = 1; !done && !for_good && attempt <= kMaxAttempts; ++attempt) {
        const auto etag =
            carrel::fork_to(milliseconds(work.timeout_ms), [&] { return upload(job); });
        done = etag.has_value();
        if (done) break;
        tally.failed(carrel::to_string(etag.error().code), etag.error().message);
        for_good = etag.error().code == carrel::Code::kDiscarded;
        if (!for_good) std::this_thread::sleep_for(kRetryAfter);
      }
      tally.ended(done);
    }
  };
  const auto start = steady_clock::now();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < work.at_once; ++i) threads.emplace_back(call);
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took = steady_clock::now() - start;
  TrialResult result = tally.take();
  result.seconds = took.count();
  return result;
}

TrialResult run(const TrialWork& work, const std::filesystem::path& folder) {
  return work.way == "fork_to" ? run_calls(work) : run_jobs(work, folder);
}

// Idle children end when they see that their engine has closed; nobody tells when.
std::vector<std::string> left_since(const trial::Held& before) {
  const auto deadline = steady_clock::now() + std::chrono::seconds(10);
  std::vector<std::string> left;
  while (!(left = trial::more_than(before, trial::held_now())).empty() &&
         steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(20));
  }
  return left;
}

TrialResult measured(const TrialWork& work, const std::filesystem::path& folder) {
  // Before any thread, so that the process server that jobs are forked from has it too.
  configure(settings_of(work));
  // The first engine starts the process server, which stays: look at what is held after.
  TrialWork first = work;
  first.files.resize(1);
  first.keys = {work.queue + "/first"};
  if (TrialResult warm = run(first, folder); !warm.error.empty()) return warm;
  if (work.way == "fork" || work.way == "fork_to") {
    const auto deadline = steady_clock::now() + std::chrono::seconds(10);
    while (trial::held_now().processes.size() > 2 && steady_clock::now() < deadline) {
      std::this_thread::sleep_for(milliseconds(20));
    }
  }
  const trial::Held before = trial::held_now();
  const double cpu = trial::cpu_seconds(RUSAGE_SELF);
  TrialResult result = run(work, folder);
  result.cpu_seconds = trial::cpu_seconds(RUSAGE_SELF) - cpu;
  result.left = left_since(before);
  result.peak_bytes = trial::peak_bytes();
  return result;
}

}  // namespace

Settings settings_of(const TrialWork& work) {
  return {work.endpoint,   work.region,     work.bucket,
          work.access_key, work.secret_key, milliseconds(work.client_timeout_ms)};
}

int run_trial(const std::filesystem::path& folder) {
  trial::begin(folder);
  TrialResult result;
  try {
    std::ifstream in(folder / "work.json");
    result = measured(Json::parse(in).get<TrialWork>(), folder);
  } catch (const std::exception& e) {
    result.error = e.what();
  }
  result.cpu_seconds += trial::cpu_seconds(RUSAGE_CHILDREN);
  result.child_bytes = trial::largest_child_bytes();
  std::ofstream out(folder / "result.json");
  out << Json(result) << '\n';
  return out.flush() ? 0 : 1;
}

}  // namespace s3
