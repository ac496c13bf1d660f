#include "probe.h"

#include <carrel/connected.h>
#include <carrel/engine.h>
#include <carrel/process.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

namespace carrel::cli {
namespace {

using Steady = std::chrono::steady_clock;

constexpr const char* kEcho = "carrel.doctor.echo";
constexpr const char* kHold = "carrel.doctor.hold";
constexpr std::chrono::seconds kPatience{10};

Duration since(Steady::time_point begun) {
  return std::chrono::duration_cast<Duration>(Steady::now() - begun);
}

Result<Json> echo(Context& job) { return Json{{"echo", job.args()}, {"pid", getpid()}}; }

// Says that it runs, and runs until it is told to stop.
Result<Json> hold(Context& job) {
  job.progress(0.5F, "held");
  while (!job.stopping()) usleep(1'000);
  return Context::error("told to stop");
}

void add_handlers(Handlers& handlers) {
  handlers.handle(kEcho, echo);
  handlers.handle(kHold, hold);
}

std::size_t open_descriptors() {
  std::error_code error;
  std::size_t n = 0;
  for (auto at = std::filesystem::directory_iterator("/proc/self/fd", error);
       at != std::filesystem::directory_iterator(); at.increment(error)) {
    ++n;
  }
  return n;
}

Result<Engine> open_engine(const Registry& registry, const std::string& name,
                           const IsolationEntry& entry) {
  Config config;
  config.log.level = LogLevel::kOff;  // what goes wrong comes back as an error
  config.worker.concurrency = 2;
  config.worker.beat = std::chrono::milliseconds(10);
  config.defaults.isolation = name;
  config.defaults.max_attempts = 1;
  config.jobs[kEcho] = config.jobs[kHold] = config.defaults;
  if (entry.runs_programs) {
    config.jobs[kEcho].command = {"/bin/sh", "-c", "cat"};
    config.jobs[kHold].command = {"/bin/sh", "-c",
                                  "echo 'progress 0.5 held' >&3; exec sleep 60"};
  }
  auto engine = Engine::open(std::move(config), registry);
  if (!engine) return engine;
  if (!entry.runs_programs) {
    for (const auto& ok : {engine->handle(kEcho, echo), engine->handle(kHold, hold)}) {
      if (!ok) return tl::unexpected<Error>(ok.error());
    }
  }
  if (auto ok = engine->start(); !ok) return tl::unexpected<Error>(ok.error());
  return engine;
}

Result<void> try_echo(Engine& engine, const IsolationEntry& entry) {
  const Json args{{"word", "carrel"}};
  const auto id = engine.enqueue(kEcho, args);
  if (!id) return tl::unexpected<Error>(id.error());
  const auto result = engine.wait(*id, kPatience);
  if (!result) return tl::unexpected<Error>(result.error());
  const Json back = entry.runs_programs ? *result : result->value("echo", Json());
  if (back != args) {
    return fail(Code::kInternal,
                "the job answered " + result->dump() + ", not " + args.dump());
  }
  if (entry.needs_server && !entry.runs_programs && result->value("pid", 0) == getpid()) {
    return fail(Code::kInternal, "the job ran in this process");
  }
  return {};
}

Result<void> try_cancel(Engine& engine, IsolationProbe& probe) {
  const std::size_t before = open_descriptors();
  const auto id = engine.enqueue(kHold);
  if (!id) return tl::unexpected<Error>(id.error());
  const auto begun = Steady::now();
  for (bool held = false; !held;) {
    const auto ended = engine.wait(*id, std::chrono::milliseconds(5));
    if (ended || ended.error().code != Code::kTimeout) {
      return fail(Code::kInternal, "a job that should wait ended: " +
                                       (ended ? ended->dump() : ended.error().message));
    }
    const auto job = engine.job(*id);
    if (!job) return tl::unexpected<Error>(job.error());
    held = job->progress.has_value();
    if (!held && since(begun) > kPatience) {
      return fail(Code::kTimeout, "a job began, and no progress of it was heard");
    }
  }
  const std::size_t held = open_descriptors();
  probe.descriptors = held > before ? held - before : 0;
  const auto asked = Steady::now();
  if (auto ok = engine.cancel(*id); !ok) return tl::unexpected<Error>(ok.error());
  const auto ended = engine.wait(*id, kPatience);
  if (ended || ended.error().code != Code::kCancelled) {
    return fail(Code::kInternal, "a job could not be cancelled: " +
                                     (ended ? ended->dump() : ended.error().message));
  }
  probe.cancel = since(asked);
  return {};
}

}  // namespace

Result<void> prepare_probes() { return prefork(add_handlers); }

Result<IsolationProbe> probe_isolation(const Registry& registry,
                                       const std::string& name) {
  const auto entry = registry.isolation(name);
  if (!entry) return tl::unexpected<Error>(entry.error());
  auto engine = open_engine(registry, name, **entry);
  if (!engine) return tl::unexpected<Error>(engine.error());
  IsolationProbe probe;
  // The first run pays for what is made once; the second is what a job costs.
  if (auto ok = try_echo(*engine, **entry); !ok) return tl::unexpected<Error>(ok.error());
  const auto begun = Steady::now();
  if (auto ok = try_echo(*engine, **entry); !ok) return tl::unexpected<Error>(ok.error());
  probe.round_trip = since(begun);
  if (auto ok = try_cancel(*engine, probe); !ok) return tl::unexpected<Error>(ok.error());
  return probe;
}

namespace {

Result<std::unique_ptr<Store>> open_store(Registry& registry, const std::string& text) {
  const auto url = Url::parse(text);
  if (!url) return tl::unexpected<Error>(url.error());
  const auto make = registry.store(url->scheme);
  if (!make) return tl::unexpected<Error>(make.error());
  return (**make)(*url, BackendOptions{});
}

}  // namespace

Result<StoreProbe> look_at_store(Registry& registry, const std::string& url) {
  const auto store = open_store(registry, url);
  if (!store) return tl::unexpected<Error>(store.error());
  const auto begun = Steady::now();
  if (const auto counts = (*store)->monitor().counts(); !counts) {
    return tl::unexpected<Error>(counts.error());
  }
  return StoreProbe{(*store)->traits(), since(begun)};
}

Result<QueueProbe> look_at_queue(Registry& registry, const std::string& text) {
  const auto url = Url::parse(text);
  if (!url) return tl::unexpected<Error>(url.error());
  const auto make = registry.queue(url->scheme);
  if (!make) return tl::unexpected<Error>(make.error());
  const auto begun = Steady::now();
  const auto queue = (**make)(*url, BackendOptions{});
  if (!queue) return tl::unexpected<Error>(queue.error());
  if (const auto* const elsewhere = dynamic_cast<const Connected*>(queue->get())) {
    if (auto ok = elsewhere->connected(); !ok) return tl::unexpected<Error>(ok.error());
  }
  return QueueProbe{(*queue)->traits(), since(begun)};
}

Result<StoreProbe> probe_store(Registry& registry, const std::string& url) {
  const auto store = open_store(registry, url);
  if (!store) return tl::unexpected<Error>(store.error());
  const auto begun = Steady::now();
  NewJob job;
  job.kind = kEcho;
  const auto inserted = (*store)->insert({&job, 1}, kPatience);
  if (!inserted.front()) return tl::unexpected<Error>(inserted.front().error());
  const Ticket ticket{inserted.front()->id, job.queue, job.kind, job.priority};
  const auto claimed = (*store)->claim({&ticket, 1}, "doctor", 1, kPatience);
  if (!claimed) return tl::unexpected<Error>(claimed.error());
  if (!claimed->front()) return fail(Code::kInternal, "a job just stored was not found");
  Finish finish;
  finish.lease = claimed->front()->lease;
  const auto finished = (*store)->finish({&finish, 1});
  if (!finished.front()) return tl::unexpected<Error>(finished.front().error());
  if (finished.front()->kind != Finished::Kind::kApplied) {
    return fail(Code::kInternal, "a job just claimed was lost");
  }
  return StoreProbe{(*store)->traits(), since(begun)};
}

}  // namespace carrel::cli
