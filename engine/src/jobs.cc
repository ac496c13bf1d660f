// What is asked and said about jobs that exist.
#include <carrel/connected.h>
#include <carrel/hold.h>

#include <algorithm>
#include <chrono>

#include "engine_impl.h"
#include "held_key.h"
#include "json_text.h"
#include "wording.h"

namespace carrel {
namespace {

using Steady = std::chrono::steady_clock;

Result<Json> result_of(const JobRecord& job) {
  if (job.state == State::kCompleted) {
    if (job.result.empty()) return Json();
    Json result = json_from_text(job.result);
    // A program may print anything, and a host may store bytes of its own.
    if (result.is_discarded()) return Json(job.result);
    return result;
  }
  const std::string name = "job " + std::to_string(value(job.id));
  if (job.state == State::kCancelled)
    return fail(Code::kCancelled, name + " was cancelled");
  Error error{Code::kFailed, name + " was discarded"};
  if (job.attempt == 0) {
    error.message += ": " + why_discarded(job);
  } else if (!job.attempts.empty()) {
    const Attempt& last = job.attempts.back();
    error.message = last.message;
    error.native = last.native;
    error.origin = to_string(last.klass);
  }
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace

Result<Json> Engine::Impl::wait(JobId id, Duration timeout) {
  if (auto ok = ignite(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  const auto until = Steady::now() + std::clamp<Duration>(timeout, Duration{0},
                                                          std::chrono::hours(24 * 365));
  while (true) {
    auto job = store->monitor().job(id);
    if (!job) return tl::unexpected<Error>(std::move(job.error()));
    if (is_final(job->state)) return result_of(*job);
    const auto left = std::chrono::duration_cast<Duration>(until - Steady::now());
    if (left.count() <= 0) {
      std::string message = "job " + std::to_string(value(id)) + " is still " +
                            std::string(to_string(job->state));
      if (job->state == State::kAvailable && config.role == Role::kWorker &&
          kinds_.find(job->kind) == nullptr) {
        message += "; nothing here runs jobs of kind " + quote(job->kind);
      } else if (job->state == State::kAvailable && config.role == Role::kWorker &&
                 config.mode == Mode::kNormal && !takes_jobs()) {
        message += "; this engine has not been started, or was stopped";
      }
      return fail(Code::kTimeout, std::move(message));
    }
    if (waits_for_itself(*job)) {
      return fail(Code::kInvalid, "job " + std::to_string(value(id)) +
                                      " has the key that the job waiting for it holds: "
                                      "it would wait for ever");
    }
    if (auto ok = await(id, until); !ok) {
      return tl::unexpected<Error>(std::move(ok.error()));
    }
  }
}

// Only looks, whoever asks: a stop that was asked for is left to those who do it.
bool Engine::Impl::takes_jobs() const {
  const auto running = worker();
  return running && !running->expects_stop();
}

// Until the job is final, or the time is over.
Result<void> Engine::Impl::await(JobId id, Steady::time_point until) {
  const Inside* inside = Inside::of(*door_);
  if (inside != nullptr && inside->job() == nullptr) {
    return fail(Code::kInvalid, "job " + std::to_string(value(id)) +
                                    " is not final, and a hook cannot wait for it: what "
                                    "it waits for may wait for the hook");
  }
  while (true) {
    if (door_->closed()) return tl::unexpected<Error>(ends());
    if (inside != nullptr && inside->job()->stopping()) {
      return fail(Code::kCancelled, "the handler that waits for job " +
                                        std::to_string(value(id)) + " was asked to stop");
    }
    auto left = std::chrono::duration_cast<Duration>(until - Steady::now());
    if (left.count() <= 0) return {};
    // A store's wait hears of no stop, and a handler's is to end with it.
    if (inside != nullptr) left = std::min(left, config.worker.beat);
    const auto finals = store->await_final({&id, 1}, left);
    if (!finals) return tl::unexpected<Error>(finals.error());
    if (!finals->empty()) return {};
  }
}

// Whether the caller is a handler that holds the key which the job needs to go on.
bool Engine::Impl::waits_for_itself(const JobRecord& job) {
  const Kind* kind = kinds_.find(job.kind);
  if (kind == nullptr || !is_held_here(kind->isolation, job.kind, job.payload)) {
    return false;
  }
  if (job.state != State::kRunning) return true;
  const std::lock_guard lock(worker_mutex_);
  return worker_ && worker_->id() == job.worker;  // another's keys are others
}

Result<Cancelled> Engine::Impl::cancel(JobId id) {
  if (auto ok = ignite(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  auto answers = store->cancel({&id, 1});
  if (!answers) return tl::unexpected<Error>(std::move(answers.error()));
  if (answers->front() == Cancelled::kRequested) {
    // Here or not: others hear it with their next beat.
    if (const auto running = worker()) running->cancel(id);
  }
  tell_drain();  // who waited for its place may go on
  return answers->front();
}

Result<void> Engine::Impl::retry(JobId id) {
  if (auto ok = ignite(); !ok) return ok;
  const auto job = store->monitor().job(id);
  if (job && is_hold(job->kind)) {
    return fail(Code::kInvalid,
                "job " + std::to_string(value(id)) + " was a hold: nobody waits for it");
  }
  auto answer = std::move(store->retry({&id, 1}).front());
  if (!answer) return tl::unexpected<Error>(std::move(answer.error()));
  publish({std::move(*answer)});
  return {};
}

Result<void> Engine::Impl::set_paused(std::string_view name, bool paused) {
  if (const auto why = why_no_name(name); why && paused) {
    return fail(Code::kInvalid,
                "pause(" + shortened(name) + "): the name of a queue " + *why, "engine");
  }
  if (auto ok = ignite(); !ok) return ok;
  auto tickets = store->set_paused(name, paused);
  if (!tickets) return tl::unexpected<Error>(std::move(tickets.error()));
  publish(std::move(*tickets));
  return {};
}

Health Engine::Impl::own_health() const {
  Health health;
  for (const auto& [name, queue] : config.queues) {
    QueueHealth& it = health.queues[name];
    it.weight = queue.weight;
    it.concurrency = queue.concurrency;
    it.limit = queue.limit;
  }
  if (config.role == Role::kWorker) health.slots = concurrency();
  // A copy's locks may be taken for ever, and the rest is made by the ignition.
  if (!birthplace_.here() || !ignited_.load()) return health;
  const Visit visit(door_);
  if (!visit.inside()) return health;
  health.stuck = kinds_.stuck();
  health.exhausted = kinds_.exhausted();
  health.completed = totals_.completed;
  health.failed = totals_.failed;
  health.stale = totals_.stale;
  if (const auto running = worker()) {
    health.running = true;
    health.busy = running->busy();
    health.unflushed = running->unflushed();
    for (auto& [name, queue] : health.queues) queue.busy = running->busy_in(name);
    health.store_error = running->store_error();
  }
  return health;
}

Result<Health> Engine::Impl::health() {
  if (auto ok = ignite(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  const auto before = Steady::now();
  auto counts = store->monitor().counts();
  const auto round_trip = std::chrono::duration_cast<Duration>(Steady::now() - before);
  if (!counts) return tl::unexpected<Error>(std::move(counts.error()));
  auto paused = store->monitor().paused();
  if (!paused) return tl::unexpected<Error>(std::move(paused.error()));
  const auto footprint = store->monitor().footprint();
  Health health = own_health();
  health.store_round_trip = round_trip;
  health.counts = std::move(*counts);
  health.paused = std::move(*paused);
  if (footprint) health.footprint = *footprint;
  for (auto& [name, queue] : health.queues) {
    if (const auto found = health.counts.by_queue.find(name);
        found != health.counts.by_queue.end()) {
      queue.running = found->second[static_cast<std::size_t>(State::kRunning)];
    }
  }
  for (const auto& [kind, waiting] : health.counts.available_by_kind) {
    // A producer's kinds have their handlers elsewhere.
    const bool named = config.role == Role::kProducer && config.jobs.contains(kind);
    if (kinds_.find(kind) == nullptr && !named && !is_hold(kind)) {
      health.unhandled.push_back(kind);
    }
  }
  const auto tickets = queue();
  if (const auto* const elsewhere = dynamic_cast<const Connected*>(tickets.get())) {
    if (const auto ok = elsewhere->connected(); !ok) {
      health.queue_error = ok.error().message;
    }
  }
  return health;
}

namespace {

Json seconds(const std::optional<Duration>& time) {
  return time ? Json(std::chrono::duration<double>(*time).count()) : Json();
}

Json json_of(const Footprint& f) {
  const auto number = [](const std::optional<std::uint64_t>& n) {
    return n ? Json(*n) : Json();
  };
  return {{"jobs_bytes", f.jobs_bytes},
          {"free_bytes", number(f.free_bytes)},
          {"log_bytes", number(f.log_bytes)},
          {"dead_rows", number(f.dead_rows)},
          {"oldest_transaction_s", seconds(f.oldest_transaction)}};
}

// No bound is null, so that nobody takes it for none that may run.
Json json_of(const QueueHealth& q) {
  const auto bound = [](std::uint32_t n) { return n == 0 ? Json() : Json(n); };
  return {{"weight", q.weight},
          {"concurrency", bound(q.concurrency)},
          {"busy", q.concurrency == 0 ? Json() : Json(q.busy)},
          {"limit", bound(q.limit)},
          {"running", q.running}};
}

}  // namespace

void to_json(Json& j, const Health& h) {
  const auto states = [](const std::array<std::uint64_t, kStateCount>& counts) {
    Json of = Json::object();
    for (std::size_t i = 0; i < kStateCount; ++i) {
      of[std::string(to_string(static_cast<State>(i)))] = counts[i];
    }
    return of;
  };
  j = Json{{"running", h.running},
           {"jobs", states(h.counts.total)},
           {"queues", Json::object()},
           {"paused", h.paused},
           {"unhandled_kinds", h.unhandled},
           {"slots", h.slots},
           {"busy", h.busy},
           {"stuck", h.stuck},
           {"exhausted", h.exhausted},
           {"unflushed", h.unflushed},
           {"completed", h.completed},
           {"failed", h.failed},
           {"stale", h.stale},
           {"store_round_trip_us", h.store_round_trip.count()}};
  for (const auto& [queue, counts] : h.counts.by_queue)
    j["queues"][queue] = states(counts);
  j["queue_bounds"] = Json::object();
  for (const auto& [queue, bounds] : h.queues) j["queue_bounds"][queue] = json_of(bounds);
  j["footprint"] = h.footprint ? json_of(*h.footprint) : Json();
  j["oldest_available_s"] = seconds(h.counts.oldest_available);
  j["store_error"] = h.store_error ? Json(*h.store_error) : Json();
  j["queue_error"] = h.queue_error ? Json(*h.queue_error) : Json();
}

}  // namespace carrel
