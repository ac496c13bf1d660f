#include "monitor.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "error.h"
#include "rows.h"
#include "statements.h"

namespace carrel::sql::sqlite {

using soci::into;
using soci::use;

struct SqliteMonitor::Statements {
  explicit Statements(soci::session& s)
      : notes(s),
        read_job(s, statements::kReadJob, use(id, "id"), into(id), into(state),
                 into(queue), into(kind), into(priority), into(attempt),
                 into(max_attempts), into(crashes), into(cancel_requested), into(fence),
                 into(expires_at.value, expires_at.indicator), into(enqueued_at),
                 into(run_at), into(started_at.value, started_at.indicator),
                 into(ended_at.value, ended_at.indicator), into(timeout), into(worker),
                 into(request_id, has_request_id), into(payload, has_payload),
                 into(result, has_result)),
        read_payload(s, statements::kReadPayload, use(id, "job"), into(payload)),
        read_rate(s, statements::kReadRate, use(id, "id"), into(rate_key),
                  into(rate_starts), into(rate_period)),
        read_limit(s, statements::kReadLimit, use(id, "id"), into(limit_key),
                   into(limit_running)),
        read_unique(s, statements::kReadUnique, use(id, "id"), into(unique_key)),
        read_attempts(s, statements::kReadAttempts, use(id, "job"), into(fence),
                      into(attempt), into(klass), into(message), into(code), into(native),
                      into(exit_code), into(signal), into(wall), into(cpu), into(max_rss),
                      into(stderr_tail), into(ending), into(worker),
                      into(started_at.value, started_at.indicator), into(when)),
        list(s, statements::kListJobs, use(before, "before"), use(states, "states"),
             use(queue, "queue"), use(kind, "kind"), use(when, "enqueued_before"),
             use(most, "most"), into(id)),
        list_few(s, statements::kListFewJobs, use(before, "before"),
                 use(states, "states"), use(queue, "queue"), use(kind, "kind"),
                 use(when, "enqueued_before"), use(most, "most"), into(id)),
        few_are_many(s, statements::kFewAreMany, use(states, "states"), into(many)),
        list_near(s, statements::kListNearJobs, use(before, "before"),
                  use(states, "states"), use(queue, "queue"), use(kind, "kind"),
                  use(when, "enqueued_before"), use(most, "most"), into(id)),
        count_available(s, statements::kCountAvailable, into(queue), into(kind),
                        into(jobs), into(when)),
        count_waiting(s, statements::kCountWaiting, into(queue), into(state), into(jobs)),
        count_final(s, statements::kCountFinal, into(queue), into(state), into(jobs)),
        paused(s, statements::kPaused, into(queue)),
        footprint(s, statements::kFootprint, into(jobs), into(spare)) {}

  long long id = 0;
  long long before = 0;
  long long states = 0;
  int many = 0;
  long long most = 0;
  long long jobs = 0;
  long long when = 0;
  int state = 0;
  std::string queue;
  std::string kind;
  int priority = 0;
  int attempt = 0;
  int max_attempts = 0;
  int crashes = 0;
  int cancel_requested = 0;
  long long fence = 0;
  Nullable expires_at;
  Nullable started_at;
  Nullable ended_at;
  long long enqueued_at = 0;
  long long run_at = 0;
  long long timeout = 0;
  std::string worker;
  std::string request_id;
  soci::indicator has_request_id = soci::i_null;
  std::string payload;
  soci::indicator has_payload = soci::i_null;
  std::string result;
  soci::indicator has_result = soci::i_null;
  int klass = 0;
  std::string message;
  int code = 0;
  int native = 0;
  int exit_code = 0;
  int signal = 0;
  long long wall = 0;
  long long cpu = 0;
  long long max_rss = 0;
  std::string stderr_tail;
  std::string ending;
  std::string limit_key;
  long long limit_running = 0;
  std::string rate_key;
  long long rate_starts = 0;
  long long rate_period = 0;
  std::string unique_key;
  long long spare = 0;

  NotesTable notes;
  Statement read_job;
  Statement read_payload;
  Statement read_rate;
  Statement read_limit;
  Statement read_unique;
  Statement read_attempts;
  Statement list;
  Statement list_few;
  Statement few_are_many;
  Statement list_near;
  Statement count_available;
  Statement count_waiting;
  Statement count_final;
  Statement paused;
  Statement footprint;
};

SqliteMonitor::SqliteMonitor(const Settings& settings, BackendOptions options,
                             std::unique_ptr<Session> session)
    : path_(settings.path),
      options_(std::move(options)),
      session_(std::move(session)),
      statements_(std::make_unique<Statements>(session_->soci())) {}

SqliteMonitor::~SqliteMonitor() = default;

template <class Read>
auto SqliteMonitor::snapshot(Read read) -> Result<decltype(read())> {
  const std::lock_guard lock(mutex_);
  struct End {
    Session* session;
    ~End() {
      if (!session->in_transaction()) return;
      try {
        session->execute("COMMIT");
      } catch (const soci::soci_error&) {
        // A read that cannot be ended has already ended.
      }
    }
  };
  try {
    const End end{session_.get()};
    session_->execute("BEGIN");
    return read();
  } catch (...) {
    return tl::unexpected(current_error(path_));
  }
}

Result<JobRecord> SqliteMonitor::job(JobId id) {
  auto found = snapshot([&] { return record(id); });
  if (!found) return tl::unexpected(std::move(found.error()));
  if (!*found) {
    return fail(Code::kNotFound, "there is no job " + std::to_string(value(id)),
                "sqlite");
  }
  return std::move(**found);
}

std::optional<JobRecord> SqliteMonitor::record(JobId id) {
  auto& s = *statements_;
  s.id = to_column(id);
  if (!s.read_job.run()) return std::nullopt;
  JobRecord r;
  r.id = id;
  r.state = static_cast<State>(s.state);
  r.queue = s.queue;
  r.kind = s.kind;
  r.priority = static_cast<std::int16_t>(s.priority);
  r.attempt = static_cast<std::uint16_t>(s.attempt);
  r.max_attempts = static_cast<std::uint16_t>(s.max_attempts);
  r.crashes = static_cast<std::uint16_t>(s.crashes);
  r.cancel_requested = s.cancel_requested != 0;
  r.fence = Fence{static_cast<std::uint64_t>(s.fence)};
  r.expires = to_optional_time(s.expires_at.get());
  r.enqueued = to_time(s.enqueued_at);
  r.run_at = to_time(s.run_at);
  r.started = to_optional_time(s.started_at.get());
  r.ended = to_optional_time(s.ended_at.get());
  r.timeout = Duration(s.timeout);
  r.worker = s.worker;
  if (s.has_request_id == soci::i_ok) r.request_id = s.request_id;
  if (s.has_result == soci::i_ok) r.result = s.result;
  if (s.has_payload == soci::i_ok || s.read_payload.run()) r.payload = s.payload;
  if (auto notes = s.notes.read(id)) {
    r.progress = std::move(notes->progress);
    r.checkpoint = std::move(notes->checkpoint);
    r.log = std::move(notes->log);
  }
  if (s.read_limit.run()) {
    r.limit = Limit{s.limit_key, static_cast<std::uint32_t>(s.limit_running)};
  }
  if (s.read_rate.run()) {
    r.rate = Rate{s.rate_key, static_cast<std::uint32_t>(s.rate_starts),
                  Duration(s.rate_period)};
  }
  if (s.read_unique.run()) r.unique_key = s.unique_key;
  r.attempts = attempts(id);
  return r;
}

std::vector<Attempt> SqliteMonitor::attempts(JobId id) {
  auto& s = *statements_;
  std::vector<Attempt> all;
  s.id = to_column(id);
  s.read_attempts.rows([&] {
    Attempt& a = all.emplace_back();
    a.attempt = static_cast<std::uint16_t>(s.attempt);
    a.fence = Fence{static_cast<std::uint64_t>(s.fence)};
    a.klass = static_cast<OutcomeClass>(s.klass);
    a.message = s.message;
    a.code = static_cast<Code>(s.code);
    a.native = s.native;
    a.exit_code = s.exit_code;
    a.signal = s.signal;
    a.usage = {Duration(s.wall), Duration(s.cpu), static_cast<std::uint64_t>(s.max_rss)};
    a.stderr_tail = s.stderr_tail;
    read_ending(s.ending, a);
    a.worker = s.worker;
    if (auto started = s.started_at.get()) a.started = to_time(*started);
    a.ended = to_time(s.when);
  });
  return all;
}

Result<std::vector<JobRecord>> SqliteMonitor::list(const Filter& filter, JobId before,
                                                   std::size_t limit) {
  return snapshot([&] {
    auto& s = *statements_;
    constexpr long long kAll = (1LL << kStateCount) - 1;
    constexpr long long kMany = (1LL << static_cast<int>(State::kAvailable)) |
                                (1LL << static_cast<int>(State::kCompleted)) |
                                (1LL << static_cast<int>(State::kPending));
    s.states = filter.states.empty() ? kAll : 0;
    for (const State state : filter.states) s.states |= 1LL << static_cast<int>(state);
    s.before =
        value(before) == 0 ? std::numeric_limits<long long>::max() : to_column(before);
    s.queue = filter.queue;
    s.kind = filter.kind;
    s.when = filter.older_than > Duration::zero()
                 ? (options_.clock->now() - filter.older_than).time_since_epoch().count()
                 : std::numeric_limits<long long>::max();
    s.most = static_cast<long long>(std::min<std::size_t>(limit, 1U << 30));
    std::vector<JobId> ids;
    const auto add = [&] { ids.push_back(JobId{static_cast<std::uint64_t>(s.id)}); };
    if ((s.states & kMany) != 0) {
      s.list.rows(add);
    } else {
      if (s.few_are_many.run() && s.many != 0) s.list_near.rows(add);
      if (ids.size() < limit) {
        ids.clear();
        s.list_few.rows(add);
      }
    }
    std::vector<JobRecord> records;
    records.reserve(ids.size());
    std::size_t bytes = 0;
    for (const JobId id : ids) {
      if (bytes >= kMaxListBytes) break;
      if (auto r = record(id)) bytes += listed_bytes(records.emplace_back(std::move(*r)));
    }
    return records;
  });
}

Result<Counts> SqliteMonitor::counts() {
  return snapshot([&] {
    auto& s = *statements_;
    Counts counts;
    const auto add = [&](State state) {
      const auto n = static_cast<std::size_t>(state);
      const auto jobs = static_cast<std::uint64_t>(s.jobs);
      counts.by_queue[s.queue][n] += jobs;
      counts.total[n] += jobs;
    };
    std::optional<Time> oldest;
    s.count_available.rows([&] {
      add(State::kAvailable);
      counts.available_by_kind[s.kind] += static_cast<std::uint64_t>(s.jobs);
      const Time due = to_time(s.when);
      if (!oldest || due < *oldest) oldest = due;
    });
    if (oldest) {
      counts.oldest_available =
          std::max(options_.clock->now() - *oldest, Duration::zero());
    }
    s.count_waiting.rows([&] { add(static_cast<State>(s.state)); });
    s.count_final.rows([&] { add(static_cast<State>(s.state)); });
    return counts;
  });
}

Result<std::vector<std::string>> SqliteMonitor::paused() {
  return snapshot([&] {
    auto& s = *statements_;
    std::vector<std::string> queues;
    s.paused.rows([&] { queues.push_back(s.queue); });
    return queues;
  });
}

Result<Footprint> SqliteMonitor::footprint() {
  return snapshot([&] {
    auto& s = *statements_;
    Footprint footprint;
    s.footprint.rows([&] {
      footprint.jobs_bytes = static_cast<std::uint64_t>(s.jobs);
      footprint.free_bytes = static_cast<std::uint64_t>(s.spare);
    });
    std::error_code none;
    const auto log = std::filesystem::file_size(path_ + "-wal", none);
    footprint.log_bytes = none ? 0 : log;
    return footprint;
  });
}

}  // namespace carrel::sql::sqlite
