// Enqueueing: from a request to a committed row, and its ticket.
#include <carrel/hold.h>

#include <algorithm>

#include "engine_impl.h"
#include "key_template.h"
#include "unique_key.h"

namespace carrel {
namespace {

constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxRequestId = 512;
constexpr Duration kMaxDelay = std::chrono::hours(24 * 366 * 100);
// How long an enqueue may wait for its commit.
constexpr Duration kInsertDeadline = std::chrono::seconds(30);

Result<void> check_name(std::string_view what, std::string_view name) {
  const bool bad = std::any_of(name.begin(), name.end(),
                               [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (name.empty() || name.size() > kMaxName || bad) {
    return fail(Code::kInvalid,
                std::string(what) +
                    " must be 1 to 128 bytes without control characters, got " +
                    Json(name).dump(-1, ' ', true, Json::error_handler_t::replace),
                "enqueue");
  }
  return {};
}

Result<void> check_duration(std::string_view what, Duration d) {
  if (d.count() < 0 || d > kMaxDelay) {
    return fail(Code::kInvalid,
                std::string(what) + " must be between 0 and 100 years, got " + to_text(d),
                "enqueue");
  }
  return {};
}

Result<void> check(const NewJob& job) {
  if (auto ok = check_name("a kind", job.kind); !ok) return ok;
  if (is_hold(job.kind)) {
    return fail(Code::kInvalid,
                "kinds that begin with \"" + std::string(kHoldKind) + "\" are holds",
                "enqueue");
  }
  if (auto ok = check_name("a queue", job.queue); !ok) return ok;
  if (auto ok = check_duration("delay", job.delay); !ok) return ok;
  if (auto ok = check_duration("start_within", job.start_within); !ok) return ok;
  return check_duration("timeout", job.timeout);
}

// What jobs of a kind share: the kind, or what a template makes of the arguments.
Result<std::string> shared_key(std::string_view what, std::string_view kind,
                               const std::string& text, const std::string& payload) {
  if (text.empty()) return "kind:" + std::string(kind);
  const auto bad = [&](const std::string& why) {
    return fail(Code::kInvalid,
                "the " + std::string(what) + " of \"" + std::string(kind) + "\", key \"" +
                    text + "\": " + why,
                "enqueue");
  };
  auto key = KeyTemplate::parse(text);
  if (!key) return bad(key.error().message);
  Json args;
  if (!key->constant()) args = Json::parse(payload, nullptr, false);
  if (args.is_discarded()) return bad("it needs arguments in JSON, and these are none");
  auto rendered = key->render(args);
  if (!rendered) return bad(rendered.error().message);
  return rendered;
}

}  // namespace

bool Engine::Impl::knows(std::string_view kind) const {
  return handlers_.find(kind) != nullptr || config.jobs.count(std::string(kind)) > 0;
}

// What the configuration says of the kind.
Result<std::optional<Limit>> Engine::Impl::limit_of(std::string_view kind,
                                                    const std::string& payload) const {
  const ConcurrencyConfig& shared = config.kind(kind).concurrency;
  if (shared.limit == 0) return std::nullopt;
  auto key = shared_key("limit", kind, shared.key, payload);
  if (!key) return tl::unexpected<Error>(std::move(key.error()));
  return Limit{std::move(*key), shared.limit};
}

Result<std::optional<Rate>> Engine::Impl::rate_of(std::string_view kind,
                                                  const std::string& payload) const {
  const RateConfig& shared = config.kind(kind).rate;
  if (shared.starts == 0) return std::nullopt;
  auto key = shared_key("rate", kind, shared.key, payload);
  if (!key) return tl::unexpected<Error>(std::move(key.error()));
  return Rate{std::move(*key), shared.starts, shared.period};
}

Result<NewJob> Engine::Impl::make_job(std::string_view kind, std::string payload,
                                      const EnqueueOptions& options) const {
  const KindConfig& defaults = config.kind(kind);
  NewJob job;
  job.kind = kind;
  job.queue = options.queue.empty() ? defaults.queue : options.queue;
  job.payload = std::move(payload);
  job.request_id = options.request_id;
  job.delay = options.delay;
  job.start_within =
      options.start_within.count() != 0 ? options.start_within : defaults.start_within;
  job.timeout = options.timeout;
  job.priority = options.priority.value_or(defaults.priority);
  job.max_attempts =
      options.max_attempts != 0 ? options.max_attempts : defaults.max_attempts;
  if (options.limit) {
    job.limit = options.limit;
  } else {
    auto limit = limit_of(kind, job.payload);
    if (!limit) return tl::unexpected<Error>(std::move(limit.error()));
    job.limit = std::move(*limit);
  }
  if (options.rate) {
    job.rate = options.rate;
  } else {
    auto rate = rate_of(kind, job.payload);
    if (!rate) return tl::unexpected<Error>(std::move(rate.error()));
    job.rate = std::move(*rate);
  }
  if (auto ok = check(job); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  const UniqueConfig& unique = options.unique ? *options.unique : defaults.unique;
  if (!unique.fields.empty()) {
    if (auto ok = check_duration("unique.period", unique.period); !ok) {
      return tl::unexpected<Error>(std::move(ok.error()));
    }
    auto key = make_unique(unique, kind, job.queue, job.payload);
    if (!key) return tl::unexpected<Error>(std::move(key.error()));
    job.unique = std::move(*key);
  }
  if (job.request_id.size() > kMaxRequestId) {
    return fail(Code::kInvalid, "a request_id has at most 512 bytes", "enqueue");
  }
  if (config.strict_kinds && !knows(kind)) {
    return fail(Code::kInvalid,
                "no job of kind \"" + job.kind +
                    "\" is handled or configured here, and strict_kinds is set",
                "enqueue");
  }
  return job;
}

std::vector<Result<Inserted>> Engine::Impl::insert(std::vector<Result<NewJob>> jobs) {
  std::vector<Result<Inserted>> answers;
  answers.reserve(jobs.size());
  if (auto ok = ignite(); !ok) {
    answers.assign(jobs.size(), tl::unexpected<Error>(ok.error()));
    return answers;
  }
  const std::uint64_t max_payload = store->traits().max_payload;
  std::vector<NewJob> rows;
  rows.reserve(jobs.size());
  for (auto& job : jobs) {
    if (job && max_payload > 0 && job->payload.size() > max_payload) {
      job = fail(Code::kTooLarge,
                 "the arguments have " + std::to_string(job->payload.size()) +
                     " bytes; this store takes " + std::to_string(max_payload),
                 "enqueue");
    }
    if (job) rows.push_back(std::move(*job));
  }
  auto inserted = store->insert(rows, kInsertDeadline);
  const bool wants_tickets = config.mode == Mode::kInline || queue() != nullptr;
  std::vector<Ticket> tickets;
  Duration soonest = Duration::max();
  std::size_t row = 0;
  for (auto& job : jobs) {
    if (!job) {
      answers.emplace_back(tl::unexpected<Error>(std::move(job.error())));
      continue;
    }
    const NewJob& stored = rows[row];
    auto& answer = inserted[row++];
    if (!answer) {
      answers.emplace_back(tl::unexpected<Error>(std::move(answer.error())));
      continue;
    }
    if (answer->ticket && wants_tickets) tickets.push_back(*answer->ticket);
    // Held back, perhaps: no later than this its window opens.
    if (!answer->ticket && stored.rate) soonest = std::min(soonest, stored.rate->period);
    answers.push_back(std::move(answer));
    if (stored.delay.count() > 0) soonest = std::min(soonest, stored.delay);
    if (stored.start_within.count() > 0) {
      soonest = std::min(soonest, stored.delay + stored.start_within);
    }
  }
  if (config.mode == Mode::kInline) {
    for (const auto& ticket : tickets) run_inline(ticket);
    return answers;
  }
  if (!tickets.empty()) publish(std::move(tickets));
  if (soonest != Duration::max()) due_in(soonest);
  return answers;
}

void Engine::Impl::publish(std::vector<Ticket> tickets) {
  drop_holds(tickets);
  if (const auto to = queue()) to->publish(tickets);
}

void Engine::Impl::announce(std::span<const Ticket> tickets) {
  if (tickets.empty()) return;
  if (auto ok = ignite(); !ok) {
    log(LogLevel::kWarn, "publish: " + ok.error().message);
    return;
  }
  if (config.mode == Mode::kInline) {
    for (const Ticket& ticket : tickets) run_inline(ticket);
  } else if (const auto to = queue()) {
    to->publish(tickets);
  } else {
    store->announce(tickets);
  }
}

void Engine::Impl::due_in(Duration delay) {
  std::shared_ptr<Worker> worker;
  {
    std::lock_guard lock(worker_mutex_);
    worker = worker_;
  }
  if (worker) worker->due_in(delay);
}

}  // namespace carrel
