#include "sandboxed.h"

#include <future>

#include "json_text.h"

namespace carrel::cli {

Result<Outcome> run_sandboxed(const Config& from, const SandboxedRun& run) {
  constexpr const char* kKind = "program";
  Config config;
  config.log.level = LogLevel::kOff;  // what goes wrong comes back as an error
  config.worker.concurrency = 1;
  config.directory = from.directory;
  config.sandboxes = from.sandboxes;
  KindConfig& kind = config.jobs[kKind];
  kind.isolation = "exec";
  kind.sandbox = run.profile;
  kind.command = run.command;
  kind.timeout = run.timeout;
  kind.max_attempts = 1;
  auto engine = Engine::open(std::move(config));
  if (!engine) return tl::unexpected<Error>(engine.error());
  std::promise<Outcome> ended;
  engine->on_finished([&](const Event& event) { ended.set_value(event.outcome); });
  if (auto ok = engine->start(); !ok) return tl::unexpected<Error>(ok.error());
  const auto id = engine->enqueue(kKind, run.args);
  if (!id) return tl::unexpected<Error>(id.error());
  Outcome outcome = ended.get_future().get();
  engine->stop(Duration{0});
  return outcome;
}

Json to_json(const Outcome& outcome) {
  const bool ok = outcome.klass == OutcomeClass::kOk;
  Json j{{"class", to_string(outcome.klass)},
         {"exit_code", outcome.exit_code},
         {"signal", outcome.signal},
         {"wall_us", outcome.usage.wall.count()},
         {"cpu_us", outcome.usage.cpu.count()},
         {"max_rss_bytes", outcome.usage.max_rss_bytes},
         {"leftover_killed", outcome.leftover_killed},
         {"enforced", outcome.enforced ? Json(*outcome.enforced) : Json::array()},
         {"stderr", outcome.stderr_tail}};
  if (!ok) {
    j["message"] = outcome.error.message;
    if (outcome.error.native != 0) j["errno"] = outcome.error.native;
    return j;
  }
  Json result = json_from_text(outcome.result);
  j["result"] = result.is_discarded() ? Json(outcome.result) : std::move(result);
  if (outcome.result.empty()) j["result"] = nullptr;
  return j;
}

}  // namespace carrel::cli
