#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "commands.h"
#include "config_check.h"
#include "interrupt.h"
#include "progress.h"
#include "session.h"
#include "text.h"

namespace carrel::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{250};

Json event_json(const Event& event) {
  Json j{
      {"id", value(event.job.lease.id)}, {"kind", event.job.kind},
      {"attempt", event.job.attempt},    {"class", to_string(event.outcome.klass)},
      {"state", to_string(event.state)}, {"wall_us", event.outcome.usage.wall.count()}};
  if (event.outcome.klass != OutcomeClass::kOk)
    j["message"] = event.outcome.error.message;
  return j;
}

std::string event_line(const Event& event) {
  std::string line = "job " + std::to_string(value(event.job.lease.id)) + " " +
                     printable(event.job.kind) + " ";
  line += coloured(to_string(event.state), colour_of(event.state), stderr);
  line += " after " + rough(event.outcome.usage.wall);
  if (event.outcome.klass != OutcomeClass::kOk) {
    line += ": " + printable(event.outcome.error.message);
  }
  return line;
}

// Draws how much is done and waits, until it is destroyed. Starts a thread.
class Ticker {
 public:
  Ticker(Engine& engine, StatusLine& line) {
    thread_ = std::jthread([&engine, &line](const std::stop_token& stop) {
      std::mutex mutex;
      std::condition_variable_any wake;
      std::unique_lock lock(mutex);
      while (!stop.stop_requested()) {
        if (const auto health = engine.health()) line.draw(summary(*health));
        wake.wait_for(lock, stop, kRedraw, [] { return false; });
      }
    });
  }

 private:
  static std::string summary(const Health& health) {
    const auto count = [&](State s) {
      return health.counts.total[static_cast<std::size_t>(s)];
    };
    const std::uint64_t waiting = count(State::kAvailable);
    const std::uint64_t later = count(State::kScheduled) + count(State::kRetryable);
    const std::uint64_t ended = health.completed + health.failed;
    const std::uint64_t all = ended + waiting + health.busy;
    std::string text =
        bar(all == 0 ? 1 : static_cast<double>(ended) / static_cast<double>(all), 20) +
        " " + grouped(health.busy) + "/" + grouped(health.slots) + " running, " +
        grouped(waiting) + " waiting";
    if (later > 0) text += ", " + grouped(later) + " later";
    text += ", " + grouped(health.completed) + " completed";
    if (health.failed > 0) text += ", " + counted(health.failed, "attempt") + " failed";
    if (health.store_error) text += ", the store: " + *health.store_error;
    return text;
  }

  std::jthread thread_;
};

// What the file says of its other queues is no mistake here. A limit holds for all
// workers of the store, and is said by each.
void take_only(Config& config, const std::vector<std::string>& queues) {
  config.worker.queues = queues;
  config.places["worker.queues"] = "--queue";
  for (auto& [name, queue] : config.queues) {
    if (std::find(queues.begin(), queues.end(), name) != queues.end()) continue;
    const std::uint32_t limit = queue.limit;
    queue = {};
    queue.limit = limit;
  }
}

Result<Engine> open(const Global& global, const RunArgs& args) {
  auto config = load_config(global);
  if (!config) return tl::unexpected<Error>(config.error());
  // What is misspelt in a kind is the better answer than that it is no program.
  auto registry = registry_of(*config);
  if (!registry) return tl::unexpected<Error>(registry.error());
  if (auto ok = check_against(*config, *registry); !ok) {
    return tl::unexpected<Error>(ok.error());
  }
  bool programs = false;
  for (const auto& [name, kind] : config->jobs) programs |= !kind.command.empty();
  if (!programs) {
    return fail(
        Code::kInvalid,
        "the configuration has no program to run: add [jobs.NAME] with isolation = "
        "\"exec\" and a command. Kinds with a handler run in the host that has it");
  }
  if (config->role == Role::kProducer) {
    return fail(Code::kInvalid, config->where("role") + "a producer runs no jobs");
  }
  if (args.concurrency) config->worker.concurrency = *args.concurrency;
  if (!args.queues.empty()) take_only(*config, args.queues);
  config->mode = Mode::kNormal;
  if (is_terminal(stderr) && !config->places.contains("log.level")) {
    config->log.level = LogLevel::kWarn;  // the events are lines of their own
  }
  auto engine = Engine::open(std::move(*config));
  if (!engine) return engine;
  // Before there is any thread of ours: this forks the process server.
  if (auto ok = ignite(*engine); !ok) return tl::unexpected<Error>(ok.error());
  return engine;
}

// "carrel: stopping: waits up to 30s for 1 job". Of what is known here: the store may be
// away.
std::string stopping(const Engine& engine) {
  const std::size_t busy = engine.own_health().busy;
  std::string text = "carrel: stopping";
  if (busy == 0) return text;
  return text + ": waits up to " + to_text(engine.config().worker.grace) + " for " +
         counted(busy, "job");
}

int drain(const Global& global, Engine& engine, const Interrupt& interrupt,
          const std::function<void()>& clear) {
  const auto report = engine.drain(interrupt.token());
  clear();
  if (!report) return failed(report.error());
  if (global.json) {
    print_json({{"completed", report->completed},
                {"failed", report->failed},
                {"cancelled", report->cancelled}});
  } else {
    std::printf("%s completed, %s failed, %s cancelled\n",
                grouped(report->completed).c_str(), grouped(report->failed).c_str(),
                grouped(report->cancelled).c_str());
  }
  if (const auto health = engine.health()) {
    if (const auto line = unhandled(*health); !line.empty()) complain(line);
  }
  if (interrupt.came()) return kInterrupted;
  return report->failed > 0 ? kJobFailed : kOk;
}

}  // namespace

int run(const Global& global, const RunArgs& args) {
  auto engine = open(global, args);
  if (!engine) return failed(engine.error());
  StatusLine line(global.json);
  if (engine->store().traits().reach == Reach::kProcess) {
    line.note("carrel: the store \"" + engine->config().store +
              "\" lives within this process: nobody else can enqueue here");
  }
  std::mutex output;
  bool unheard = false;
  engine->on_finished([&](const Event& event) {
    if (global.json) {
      const std::lock_guard lock(output);
      print_json(event_json(event));
      // Whoever reads the lines wants them now.
      if (std::fflush(stdout) != 0 && !std::exchange(unheard, true)) {
        complain("nobody reads the events any more; goes on without");
      }
    } else {
      line.note(event_line(event));
    }
  });
  std::optional<Ticker> ticker;
  if (line.draws()) ticker.emplace(*engine, line);
  const auto clear = [&] {
    ticker.reset();
    line.draw("");
  };
  std::signal(SIGPIPE, SIG_IGN);  // of whom it is told, and goes on
  const auto heard = [&] {
    let_the_next_end_it();
    line.note(stopping(*engine));
  };
  const Interrupt interrupt(args.drain ? std::function<void()>(heard) : nullptr);
  if (args.drain) return drain(global, *engine, interrupt, clear);

  line.note("carrel: running; stops on SIGINT, SIGTERM or SIGHUP");
  const auto begun = std::chrono::steady_clock::now();
  if (auto ok = engine->start(); !ok) {
    clear();
    return failed(ok.error());
  }
  interrupt.wait();
  heard();  // here, so that it stands before what is said at the end
  const auto stopped = engine->stop(engine->config().worker.grace);
  clear();
  if (!global.json) {
    const Health health = engine->own_health();
    line.note("carrel: stopped after " +
              rough(std::chrono::duration_cast<Duration>(
                  std::chrono::steady_clock::now() - begun)) +
              ": " + grouped(health.completed) + " completed, " +
              counted(health.failed, "attempt") + " failed");
  }
  if (!stopped) return failed(stopped.error());
  return kOk;
}

}  // namespace carrel::cli
