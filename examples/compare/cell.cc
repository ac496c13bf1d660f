#include "cell.h"

#include <carrel/engine.h>
#include <sys/resource.h>
#include <trial/child.h>
#include <trial/usage.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <map>
#include <mutex>

#include "hashing.h"

namespace compare {
namespace {

using carrel::Json;
using SteadyTime = std::chrono::steady_clock::time_point;
using std::chrono::steady_clock;

constexpr const char* kKind = "hash";

std::vector<std::string> read_lines(const std::filesystem::path& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
  return lines;
}

// When each job's finish was committed, told by the engine's hook.
class Finishes {
 public:
  void note(carrel::JobId id) {
    const SteadyTime now = steady_clock::now();
    const std::scoped_lock lock(mutex_);
    at_.emplace(id, now);
    changed_.notify_one();
  }
  // False: `deadline` passed before `count` jobs had finished.
  bool wait_for(std::size_t count, SteadyTime deadline) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [&] { return at_.size() >= count; });
  }
  std::map<carrel::JobId, SteadyTime> all() {
    const std::scoped_lock lock(mutex_);
    return at_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<carrel::JobId, SteadyTime> at_;
};

struct Enqueued {
  carrel::JobId id{};
  SteadyTime at;
};

constexpr const char* kFile = "engine.toml";

class Cell {
 public:
  Cell(CellWork work, carrel::Engine engine)
      : work_(std::move(work)),
        engine_(std::move(engine)),
        words_(read_lines(work_.words)),
        deadline_(steady_clock::now() + std::chrono::seconds(work_.timeout_seconds)) {}

  CellResult run() {
    // A kind that runs a program has no handler.
    if (engine_.config().kind(kKind).command.empty()) {
      std::ignore = engine_.handle<HashJob>(
          kKind, [](carrel::Context&, const HashJob& job) -> Json {
            return hash_carelessly(job);
          });
    }
    engine_.on_finished([this](const carrel::Event& event) {
      if (carrel::is_final(event.state)) finishes_.note(event.job.lease.id);
    });
    if (auto ignited = engine_.ignite(); !ignited) return refusal(ignited.error());
    if (auto started = engine_.start(); !started) return refusal(started.error());

    const double cpu_before = trial::cpu_seconds(RUSAGE_SELF);
    std::string error = keep_in_flight(work_.in_flight);  // warms up
    const std::size_t warm = enqueued_.size();
    if (error.empty()) error = keep_in_flight(work_.latency_jobs);
    const std::size_t timed = enqueued_.size();
    if (error.empty()) error = all_at_once(work_.jobs);
    if (!error.empty()) return {Status::kFailed, error, {}};

    CellResult result{Status::kMeasured, {}, {}};
    Measured& m = result.measured;
    m.cpu_host_s = trial::cpu_seconds(RUSAGE_SELF) - cpu_before;
    m.peak_host_bytes = trial::peak_bytes();
    m.jobs = enqueued_.size();
    const auto finished = finishes_.all();
    std::vector<double> latencies;
    for (std::size_t i = warm; i < timed; ++i) {
      latencies.push_back(milliseconds(finished.at(enqueued_[i].id) - enqueued_[i].at));
    }
    std::sort(latencies.begin(), latencies.end());
    m.p50_ms = trial::percentile(latencies, 0.50);
    m.p99_ms = trial::percentile(latencies, 0.99);
    SteadyTime last = enqueued_[timed].at;
    for (std::size_t i = timed; i < enqueued_.size(); ++i) {
      last = std::max(last, finished.at(enqueued_[i].id));
    }
    m.jobs_per_second = static_cast<double>(enqueued_.size() - timed) * 1000 /
                        milliseconds(last - enqueued_[timed].at);
    check(m);
    engine_.stop(std::chrono::seconds(5));
    return result;
  }

 private:
  static double milliseconds(steady_clock::duration d) {
    return std::chrono::duration<double, std::milli>(d).count();
  }

  static CellResult refusal(const carrel::Error& error) {
    const bool refused =
        error.code == carrel::Code::kInvalid || error.code == carrel::Code::kUnsupported;
    std::string reason = error.message;
    if (const auto at = reason.find(kFile); at != std::string::npos) {
      reason.erase(0, reason.find(": ", at) + 2);  // the place is in a file of one cell's
    }
    return {refused ? Status::kRefused : Status::kFailed, std::move(reason), {}};
  }

  std::size_t word_index(std::size_t job, std::size_t word) const {
    return (job * work_.words_per_job + word) % words_.size();
  }

  Json arguments(std::size_t job) const {
    HashJob args{work_.setting, {}};
    for (std::size_t w = 0; w < work_.words_per_job; ++w) {
      args.words.push_back(words_[word_index(job, w)]);
    }
    return args;
  }

  std::string too_late() {
    auto health = engine_.health();
    return "only " + std::to_string(finishes_.all().size()) + " of " +
           std::to_string(enqueued_.size()) + " jobs finished within " +
           std::to_string(work_.timeout_seconds) + " s" +
           (health ? "; " + Json(*health).dump() : "");
  }

  // The latency run: `count` jobs one by one, a new one as soon as fewer than `in_flight`
  // are unfinished, so that none waits for more than its turn.
  std::string keep_in_flight(std::size_t count) {
    for (std::size_t n = 0; n < count; ++n) {
      const std::size_t submitted = enqueued_.size();
      const std::size_t need =
          submitted + 1 > work_.in_flight ? submitted + 1 - work_.in_flight : 0;
      if (!finishes_.wait_for(need, deadline_)) return too_late();
      const Json args = arguments(submitted);
      const SteadyTime now = steady_clock::now();
      auto id = engine_.enqueue(kKind, args);
      if (!id) return "enqueue: " + id.error().message;
      enqueued_.push_back({*id, now});
    }
    return finishes_.wait_for(enqueued_.size(), deadline_) ? "" : too_late();
  }

  // The throughput run: one call enqueues all.
  std::string all_at_once(std::size_t count) {
    std::vector<carrel::Request> requests;
    for (std::size_t n = 0; n < count; ++n) {
      requests.push_back({kKind, arguments(enqueued_.size() + n)});
    }
    const SteadyTime now = steady_clock::now();
    for (auto& id : engine_.enqueue(requests)) {
      if (!id) return "enqueue: " + id.error().message;
      enqueued_.push_back({*id, now});
    }
    return finishes_.wait_for(enqueued_.size(), deadline_) ? "" : too_late();
  }

  // Every result, as the store kept it, against crypt_r's. A job without one has no hash
  // right.
  void check(Measured& m) {
    const std::vector<std::string> reference = read_lines(work_.reference);
    for (std::size_t n = 0; n < enqueued_.size(); ++n) {
      auto stored = engine_.wait(enqueued_[n].id, carrel::Duration{0});
      if (!stored) {
        std::fprintf(stderr, "job %llu: %s\n",
                     static_cast<unsigned long long>(carrel::value(enqueued_[n].id)),
                     stored.error().message.c_str());
      }
      for (std::size_t w = 0; w < work_.words_per_job; ++w) {
        const bool right = stored && stored->is_array() &&
                           stored->size() == work_.words_per_job &&
                           (*stored)[w] == reference[word_index(n, w)];
        ++m.hashes;
        m.wrong += right ? 0 : 1;
      }
    }
  }

  CellWork work_;
  Finishes finishes_;  // outlives the engine, whose hook notes into it
  carrel::Engine engine_;
  std::vector<std::string> words_;
  SteadyTime deadline_;
  std::vector<Enqueued> enqueued_;
};

CellResult open_and_run(const std::filesystem::path& folder, const CellWork& work) {
  // Without the environment: a CARREL_STORE of the user's must not change what is
  // compared.
  auto config = carrel::Config::load(folder / kFile);
  if (!config) return {Status::kRefused, config.error().message, {}};
  auto engine = carrel::Engine::open(std::move(*config));
  if (!engine) return {Status::kRefused, engine.error().message, {}};
  return Cell(work, std::move(*engine)).run();
}

}  // namespace

void to_json(Json& j, const CellWork& w) {
  j = {{"words", w.words.string()},
       {"reference", w.reference.string()},
       {"setting", w.setting},
       {"words_per_job", w.words_per_job},
       {"jobs", w.jobs},
       {"latency_jobs", w.latency_jobs},
       {"in_flight", w.in_flight},
       {"timeout_seconds", w.timeout_seconds}};
}

void from_json(const Json& j, CellWork& w) {
  w.words = j.at("words").get<std::string>();
  w.reference = j.at("reference").get<std::string>();
  j.at("setting").get_to(w.setting);
  j.at("words_per_job").get_to(w.words_per_job);
  j.at("jobs").get_to(w.jobs);
  j.at("latency_jobs").get_to(w.latency_jobs);
  j.at("in_flight").get_to(w.in_flight);
  j.at("timeout_seconds").get_to(w.timeout_seconds);
}

void to_json(Json& j, const CellResult& r) {
  j = {{"status", r.status}, {"reason", r.reason}};
  j["measured"] = r.measured;
}

void from_json(const Json& j, CellResult& r) {
  j.at("status").get_to(r.status);
  j.at("reason").get_to(r.reason);
  j.at("measured").get_to(r.measured);
}

int run_cell(const std::filesystem::path& folder) {
  trial::begin(folder);
  CellResult result;
  try {
    std::ifstream in(folder / "work.json");
    result = open_and_run(folder, Json::parse(in).get<CellWork>());
    // The engine is closed: what it waited for itself is in this figure, the rest is
    // counted by the parent.
    result.measured.cpu_children_s = trial::cpu_seconds(RUSAGE_CHILDREN);
    result.measured.peak_child_bytes = trial::largest_child_bytes();
  } catch (const std::exception& e) {
    result = {Status::kFailed, e.what(), {}};
  }
  std::ofstream out(folder / "result.json");
  out << Json(result) << '\n';
  return out.flush() ? 0 : 1;
}

}  // namespace compare
