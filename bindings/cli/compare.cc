// The same jobs over isolations, stores and concurrency.
#include <carrel/process.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <string>

#include "commands.h"
#include "interrupt.h"
#include "json_input.h"
#include "progress.h"
#include "scratch.h"
#include "session.h"
#include "spin.h"
#include "table.h"
#include "wording.h"

namespace carrel::cli {
namespace {

using Steady = std::chrono::steady_clock;

// Of the queue and the kind of its jobs: no worker that is there anyway takes them, nor
// another comparison, which may have the same process id in another container. Its
// children inherit it.
const std::string& own_name() {
  static const std::string name = "carrel.compare." + std::to_string(getpid()) + "." +
                                  std::to_string(std::random_device()());
  return name;
}

constexpr std::chrono::seconds kPatience{30};  // with a store that answers no more

struct Combination {
  std::string isolation;
  std::string store;
  std::size_t concurrency = 1;
};

struct Figures {
  std::size_t failed = 0;
  std::string first_failure;
  Duration wall{0};
  std::vector<Duration> attempts;  // sorted

  double rate() const {
    return static_cast<double>(attempts.size()) /
           std::max(std::chrono::duration<double>(wall).count(), 1e-9);
  }
  Duration percentile(std::size_t p) const {
    return attempts.empty() ? Duration{0} : attempts[(attempts.size() - 1) * p / 100];
  }
};

// Counts the attempts that end, and lets one thread wait for all of them.
class Tally {
 public:
  void hear(const Event& event) {
    const std::lock_guard lock(mutex_);
    figures_.attempts.push_back(event.outcome.usage.wall);
    if (event.state != State::kCompleted && figures_.failed++ == 0) {
      figures_.first_failure = event.outcome.error.message;
    }
    changed_.notify_one();
  }
  bool wait(std::size_t n, std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, at_most,
                             [&] { return figures_.attempts.size() >= n; });
  }
  Figures take() {
    const std::lock_guard lock(mutex_);
    std::sort(figures_.attempts.begin(), figures_.attempts.end());
    return std::move(figures_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Figures figures_;
};

class Comparison {
 public:
  Comparison(const CompareArgs& args, Config base, Registry registry, Json payload,
             const Interrupt& interrupt)
      : args_(args),
        interrupt_(interrupt),
        base_(std::move(base)),
        registry_(std::move(registry)),
        payload_(std::move(payload)) {}

  // What can be told before the first run.
  Result<void> check(const Combination& cell) {
    const auto url = Url::parse(cell.store);
    if (!url) return tl::unexpected<Error>(url.error());
    const auto store = registry_.store(url->scheme);
    if (!store) return tl::unexpected<Error>(store.error());
    const auto config = config_for(cell, "/");
    if (!config) return tl::unexpected<Error>(config.error());
    return config->validate();
  }

  // kCancelled: a signal came.
  Result<Figures> run(const Combination& cell) {
    auto scratch = Scratch::make();
    if (!scratch) return tl::unexpected<Error>(scratch.error());
    auto config = config_for(cell, scratch->path());
    if (!config) return tl::unexpected<Error>(config.error());
    const std::string kind = own_name();
    Tally tally;
    auto engine = Engine::open(std::move(*config), registry_);
    if (!engine) return tl::unexpected<Error>(engine.error());
    if (engine->config().kind(kind).command.empty()) {
      if (auto ok = engine->handle(kind, spin_handler); !ok) {
        return tl::unexpected<Error>(ok.error());
      }
    }
    engine->on_finished([&tally](const Event& event) { tally.hear(event); });
    if (auto ok = engine->start(); !ok) return tl::unexpected<Error>(ok.error());
    const auto begun = Steady::now();
    const std::vector<Request> batch(std::min(kBatch, args_.jobs),
                                     Request{kind, payload_, {}});
    for (std::size_t at = 0; at < args_.jobs; at += batch.size()) {
      if (interrupt_.came()) return interrupted(*engine);
      const auto part =
          std::span(batch).subspan(0, std::min(batch.size(), args_.jobs - at));
      for (const auto& id : engine->enqueue(part)) {
        if (!id) return tl::unexpected<Error>(id.error());
      }
    }
    if (auto ok = wait(*engine, tally); !ok) return tl::unexpected<Error>(ok.error());
    if (interrupt_.came()) return interrupted(*engine);
    const auto ended = Steady::now();
    engine->stop(Duration{0});
    Figures figures = tally.take();
    figures.wall = std::chrono::duration_cast<Duration>(ended - begun);
    return figures;
  }

 private:
  Result<void> wait(Engine& engine, Tally& tally) {
    auto heard = Steady::now();
    while (!tally.wait(args_.jobs, std::chrono::milliseconds(500))) {
      if (interrupt_.came()) return {};
      const auto health = engine.health();
      if (health && !health->store_error) {
        heard = Steady::now();
      } else if (Steady::now() - heard > kPatience) {
        return fail(Code::kUnavailable,
                    health ? *health->store_error : health.error().message);
      }
    }
    return {};
  }

  // Nobody else would run what waits in a store that is shared.
  static tl::unexpected<Error> interrupted(Engine& engine) {
    engine.stop(Duration{0});
    Filter waiting;
    waiting.queue = own_name();
    waiting.states = {State::kPending, State::kScheduled, State::kAvailable,
                      State::kRetryable};
    for (;;) {
      const auto jobs = engine.list(waiting, {}, kBatch);
      std::vector<JobId> ids;
      if (jobs) {
        for (const JobRecord& job : *jobs) ids.push_back(job.id);
      }
      if (ids.empty() || !engine.store().cancel(ids)) break;
    }
    return fail(Code::kCancelled, "interrupted");
  }

  // Its jobs are of a kind and wait in a queue of their own, and leave nothing in a store
  // that is shared.
  Result<Config> config_for(const Combination& cell,
                            const std::filesystem::path& folder) {
    const auto entry = registry_.isolation(cell.isolation);
    if (!entry) return tl::unexpected<Error>(entry.error());
    Config config;
    config.directory = base_.directory;
    config.sandboxes = base_.sandboxes;
    config.log.level = LogLevel::kError;
    config.store = cell.store == "sqlite:" ? "sqlite:" + (folder / "compare.db").string()
                                           : typed_url(cell.store);
    config.retention = {Duration{0}, Duration{0}, Duration{0}, 0};
    config.worker.concurrency = cell.concurrency;
    KindConfig kind = base_.kind(args_.kind.empty() ? own_name() : args_.kind);
    kind.isolation = cell.isolation;
    kind.queue = own_name();
    kind.max_attempts = 1;
    // All jobs are the same here, and what others run in a shared store has no part in
    // it.
    kind.unique = {};
    kind.concurrency = {};
    kind.rate = {};
    kind.start_within = Duration{0};
    config.worker.queues = {kind.queue};
    if (args_.kind.empty()) {
      kind.command.clear();
      if ((*entry)->runs_programs) {
        std::error_code error;
        const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
        kind.command = {self.string(), "spin", to_text(args_.work)};
      }
    } else if (!(*entry)->runs_programs) {
      return fail(Code::kInvalid, "kind " + quote(args_.kind) +
                                      " is a program, and isolation " +
                                      quote(cell.isolation) +
                                      " runs none; leave --kind out for synthetic "
                                      "work, which runs in both");
    }
    config.jobs[own_name()] = std::move(kind);
    return config;
  }

  const CompareArgs& args_;
  const Interrupt& interrupt_;
  Config base_;
  Registry registry_;
  Json payload_;
};

// What runs where the command line does not say.
void fill_in(CompareArgs& args, const Config& config) {
  if (args.isolations.empty()) {
    if (args.kind.empty()) {
      args.isolations = {"thread", "mutex", "fork", "exec"};
    } else {
      args.isolations = {config.kind(args.kind).isolation};
    }
  }
  if (args.stores.empty()) args.stores = {"memory:", "sqlite:"};
  if (args.concurrency.empty()) args.concurrency = {1, 2};
}

Json as_json(const Combination& cell, const std::string& store, const Figures& f) {
  return Json{{"isolation", cell.isolation},
              {"store", store},
              {"concurrency", cell.concurrency},
              {"jobs", f.attempts.size()},
              {"failed", f.failed},
              {"seconds", std::chrono::duration<double>(f.wall).count()},
              {"jobs_per_s", f.rate()},
              {"attempt_p50_us", f.percentile(50).count()},
              {"attempt_p99_us", f.percentile(99).count()}};
}

std::string fixed(double x, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, x);
  return text;
}

// Before any thread, and while this process is small: one server for every cell.
Result<void> fork_server() {
  return prefork(
      [name = own_name()](Handlers& handlers) { handlers.handle(name, spin_handler); });
}

std::vector<Combination> combinations(const CompareArgs& args) {
  std::vector<Combination> all;
  for (const std::string& store : args.stores) {
    for (const std::size_t concurrency : args.concurrency) {
      for (const std::string& isolation : args.isolations) {
        all.push_back({isolation, store, concurrency});
      }
    }
  }
  return all;
}

int print_all(const Global& global, const CompareArgs& args, Comparison& comparison) {
  const std::vector<Combination> cells = combinations(args);
  for (const Combination& cell : cells) {
    if (auto ok = comparison.check(cell); !ok) return failed(ok.error());
  }
  Table table({{"STORE"},
               {"ISOLATION"},
               {"AT ONCE", Table::Align::kRight},
               {"JOBS/S", Table::Align::kRight},
               {"RATIO", Table::Align::kRight},
               {"P50", Table::Align::kRight},
               {"P99", Table::Align::kRight},
               {"FAILED", Table::Align::kRight}});
  StatusLine line(global.json);
  std::size_t done = 0;
  double first = 0;
  int code = kOk;
  for (const Combination& cell : cells) {
    const std::string shown = Url::parse(cell.store)->redacted();
    if (done % args.isolations.size() == 0) first = 0;
    line.draw(bar(static_cast<double>(done++) / static_cast<double>(cells.size()), 20) +
              " " + shown + " " + cell.isolation + ", " +
              std::to_string(cell.concurrency) + " at once");
    const auto figures = comparison.run(cell);
    if (!figures && figures.error().code == Code::kCancelled) {
      line.note("carrel: interrupted");
      code = kInterrupted;
      break;
    }
    if (!figures) {
      line.draw("");
      return failed(figures.error());
    }
    if (first == 0) first = figures->rate();
    if (figures->failed > 0) {
      code = kJobFailed;
      line.note("carrel: " + cell.isolation + " on " + shown +
                ": a job failed: " + printable(figures->first_failure));
    }
    if (global.json) {
      print_json(as_json(cell, shown, *figures));
      std::fflush(stdout);
      continue;
    }
    table.add({{shown},
               {cell.isolation},
               {std::to_string(cell.concurrency)},
               {fixed(figures->rate(), figures->rate() < 100 ? 1 : 0), Colour::kBold},
               {fixed(figures->rate() / first, 2)},
               {rough(figures->percentile(50))},
               {rough(figures->percentile(99))},
               {figures->failed == 0 ? "·" : grouped(figures->failed),
                figures->failed == 0 ? Colour::kFaint : Colour::kBad}});
  }
  line.draw("");
  if (global.json || table.empty()) return code;
  table.print();
  std::printf(
      "\n%s each%s. RATIO: to the first isolation, with the same store and as "
      "many at once.\n",
      counted(args.jobs, "job").c_str(),
      args.kind.empty() ? (" of " + to_text(args.work) + " of CPU time").c_str() : "");
  return code;
}

}  // namespace

int compare(const Global& global, const CompareArgs& given) {
  if (!global.store.empty()) {
    return failed(Error{Code::kInvalid, "--store: compare takes its stores from --on"});
  }
  if (auto ok = fork_server(); !ok) return failed(ok.error());
  CompareArgs args = given;
  Config config;
  if (!args.kind.empty() || !global.config.empty()) {
    auto loaded = load_config(global);
    if (!loaded) return failed(loaded.error());
    config = std::move(*loaded);
  }
  if (!args.kind.empty() && config.kind(args.kind).command.empty()) {
    return failed(Error{Code::kInvalid, "kind " + quote(args.kind) +
                                            " is no program of the configuration: it has "
                                            "no command"});
  }
  fill_in(args, config);
  Json payload{{"work_us", args.work.count()}};
  if (!args.kind.empty()) payload = Json();
  if (!args.args.empty()) {
    auto json = parse_json(args.args, "the arguments");
    if (!json) return failed(json.error());
    payload = std::move(*json);
  }
  auto registry = registry_of(config);
  if (!registry) return failed(registry.error());
  const Interrupt interrupt;
  Comparison comparison(args, std::move(config), std::move(*registry), std::move(payload),
                        interrupt);
  return print_all(global, args, comparison);
}

}  // namespace carrel::cli
