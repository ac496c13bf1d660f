// Enqueueing: from a request to a committed row, and its ticket.
#include <carrel/hold.h>

#include <algorithm>
#include <iterator>

#include "engine_impl.h"
#include "json_text.h"
#include "key_template.h"
#include "unique_key.h"
#include "wording.h"

namespace carrel {
namespace {

constexpr std::size_t kMaxRequestId = 512;
constexpr Duration kMaxDelay = std::chrono::hours(24 * 366 * 100);
// How long an enqueue may wait for its commit.
constexpr Duration kInsertDeadline = std::chrono::seconds(30);

tl::unexpected<Error> bad_name(std::string_view what, std::string_view name) {
  return fail(Code::kInvalid,
              std::string(what) +
                  " must be 1 to 128 bytes of UTF-8 without control characters, got " +
                  shortened(name),
              "enqueue");
}

bool is_delay(Duration d) { return d.count() >= 0 && d <= kMaxDelay; }

tl::unexpected<Error> bad_delay(std::string_view what, Duration d) {
  return fail(Code::kInvalid,
              std::string(what) + " must be between 0 and 100 years, got " + to_text(d),
              "enqueue");
}

Result<void> check(const NewJob& job) {
  if (why_no_name(job.kind)) return bad_name("a kind", job.kind);
  if (is_hold(job.kind)) {
    return fail(Code::kInvalid,
                "kinds that begin with \"" + std::string(kHoldKind) + "\" are holds",
                "enqueue");
  }
  if (why_no_name(job.queue)) return bad_name("a queue", job.queue);
  if (job.queue == kHoldQueue) {
    return fail(Code::kInvalid,
                "the queue \"" + job.queue + "\" is for holds; no worker runs jobs of it",
                "enqueue");
  }
  if (!is_delay(job.delay)) return bad_delay("delay", job.delay);
  if (!is_delay(job.start_within)) return bad_delay("start_within", job.start_within);
  if (!is_delay(job.timeout)) return bad_delay("timeout", job.timeout);
  return {};
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
  if (!key->constant()) args = json_from_text(payload);
  if (args.is_discarded()) return bad("it needs arguments in JSON, and these are none");
  auto rendered = key->render(args);
  if (!rendered) return bad(rendered.error().message);
  return rendered;
}

}  // namespace

bool Engine::Impl::knows(std::string_view kind) const {
  return handlers_.find(kind) != nullptr || programs_.contains(kind) ||
         config.jobs.contains(std::string(kind));
}

void Engine::Impl::add(NewJobs& jobs, std::string_view kind, const Json& args,
                       const EnqueueOptions& options) const {
  std::string payload;
  try {
    if (!args.is_null()) payload = json_text(args);
  } catch (const std::exception& e) {
    jobs.refused.emplace_back(
        jobs.rows.size() + jobs.refused.size(),
        Error{Code::kInvalid, std::string("the arguments: ") + e.what(), "enqueue"});
    return;
  }
  add(jobs, kind, std::move(payload), options);
}

void Engine::Impl::add(NewJobs& jobs, std::string_view kind, std::string payload,
                       const EnqueueOptions& options) const {
  const std::size_t place = jobs.rows.size() + jobs.refused.size();
  auto ok = fill(jobs.rows.emplace_back(), kind, std::move(payload), options);
  if (ok) return;
  jobs.rows.pop_back();
  jobs.refused.emplace_back(place, std::move(ok.error()));
}

Result<void> Engine::Impl::fill(NewJob& job, std::string_view kind, std::string payload,
                                const EnqueueOptions& options) const {
  const KindConfig& defaults = config.kind(kind);
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
  } else if (const ConcurrencyConfig& limit = defaults.concurrency; limit.limit > 0) {
    auto key = shared_key("limit", kind, limit.key, job.payload);
    if (!key) return tl::unexpected<Error>(std::move(key.error()));
    job.limit = Limit{std::move(*key), limit.limit};
  }
  if (options.rate) {
    job.rate = options.rate;
  } else if (const RateConfig& rate = defaults.rate; rate.starts > 0) {
    auto key = shared_key("rate", kind, rate.key, job.payload);
    if (!key) return tl::unexpected<Error>(std::move(key.error()));
    job.rate = Rate{std::move(*key), rate.starts, rate.period};
  }
  if (auto ok = check(job); !ok) return ok;
  const UniqueConfig& unique = options.unique ? *options.unique : defaults.unique;
  if (!unique.fields.empty()) {
    if (!is_delay(unique.period)) return bad_delay("unique.period", unique.period);
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
  return {};
}

// Takes out what this store cannot take.
void Engine::Impl::refuse_too_large(NewJobs& jobs) const {
  const std::uint64_t most = store->traits().max_payload;
  const auto fits = [&](const NewJob& job) { return job.payload.size() <= most; };
  if (most == 0 || std::all_of(jobs.rows.begin(), jobs.rows.end(), fits)) return;
  NewJobs kept(jobs.rows.size());
  auto refused = jobs.refused.begin();
  std::size_t place = 0;
  for (NewJob& job : jobs.rows) {
    for (; refused != jobs.refused.end() && refused->first == place; ++refused, ++place) {
      kept.refused.push_back(std::move(*refused));
    }
    if (fits(job)) {
      kept.rows.push_back(std::move(job));
    } else {
      kept.refused.emplace_back(
          place, Error{Code::kTooLarge,
                       "the arguments have " + std::to_string(job.payload.size()) +
                           " bytes; this store takes " + std::to_string(most),
                       "enqueue"});
    }
    ++place;
  }
  std::move(refused, jobs.refused.end(), std::back_inserter(kept.refused));
  jobs = std::move(kept);
}

std::vector<Result<Inserted>> Engine::Impl::insert(NewJobs jobs) {
  if (auto ok = ignite(); !ok) {
    return {jobs.rows.size() + jobs.refused.size(), tl::unexpected<Error>(ok.error())};
  }
  refuse_too_large(jobs);
  auto answers = store->insert(jobs.rows, kInsertDeadline);
  if (has_queue_ || config.mode == Mode::kInline) {
    std::vector<Ticket> tickets;
    for (const auto& answer : answers) {
      if (answer && answer->ticket) tickets.push_back(*answer->ticket);
    }
    if (!tickets.empty()) publish(std::move(tickets));
  }
  if (config.mode != Mode::kInline) {
    Duration soonest = Duration::max();
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (!answers[i]) continue;
      const NewJob& job = jobs.rows[i];
      // Held back, perhaps: no later than this its window opens.
      if (!answers[i]->ticket && job.rate) soonest = std::min(soonest, job.rate->period);
      if (job.delay.count() > 0) soonest = std::min(soonest, job.delay);
      if (job.start_within.count() > 0) {
        soonest = std::min(soonest, job.delay + job.start_within);
      }
    }
    if (soonest != Duration::max()) due_in(soonest);
  }
  tell_drain();
  if (jobs.refused.empty()) return answers;
  std::vector<Result<Inserted>> all;
  all.reserve(answers.size() + jobs.refused.size());
  auto next = answers.begin();
  for (auto& [place, error] : jobs.refused) {
    while (all.size() < place) all.push_back(std::move(*next++));
    all.emplace_back(tl::unexpect, std::move(error));
  }
  std::move(next, answers.end(), std::back_inserter(all));
  return all;
}

void Engine::Impl::publish(std::vector<Ticket> tickets) {
  drop_holds(tickets);
  if (config.mode == Mode::kInline) {
    run_inline(tickets);
  } else if (const auto to = queue()) {
    to->publish(tickets);
  }
  tell_drain();
}

void Engine::Impl::announce(std::span<const Ticket> tickets) {
  if (tickets.empty()) return;
  if (auto ok = ignite(); !ok) {
    log(LogLevel::kWarn, "publish: " + ok.error().message);
    return;
  }
  if (config.mode == Mode::kInline) {
    run_inline(tickets);
  } else if (const auto to = queue()) {
    to->publish(tickets);
  } else {
    store->announce(tickets);
  }
  tell_drain();
}

void Engine::Impl::tell_drain() {
  if (!draining_.load()) return;
  if (const auto running = worker()) running->poke();
}

void Engine::Impl::due_in(Duration delay) {
  if (const auto running = worker()) running->due_in(delay);
}

}  // namespace carrel
