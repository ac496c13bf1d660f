#include "server/monitor.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "server/json_rows.h"
#include "server/rows.h"
#include "server/statement.h"
#include "stored_row.h"

namespace carrel::sql::server {

using soci::into;
using soci::use;

struct ServerMonitor::Tables {
  Tables(Session& s, const Statements& sql)
      : read_jobs(s, sql.read_jobs, use(ids, "ids"), into(id), into(state), into(queue),
                  into(kind), into(priority), into(attempt), into(max_attempts),
                  into(crashes), into(cancel_requested), into(fence),
                  into(expires_at.value, expires_at.indicator), into(enqueued_at),
                  into(run_at), into(started_at.value, started_at.indicator),
                  into(ended_at.value, ended_at.indicator), into(timeout), into(worker),
                  into(request_id), into(payload), into(result),
                  into(notes_of.value, notes_of.indicator), into(fraction, has_fraction),
                  into(message), into(checkpoint), into(log)),
        read_sizes(s, sql.read_sizes, use(ids, "ids"), into(id), into(bytes)),
        read_keys(s, sql.read_keys, use(ids, "ids"), into(id), into(unique_key)),
        read_attempts(s, sql.read_attempts, use(ids, "ids"), into(id), into(fence),
                      into(attempt), into(klass), into(message), into(code), into(native),
                      into(exit_code), into(signal), into(wall), into(cpu), into(max_rss),
                      into(stderr_tail), into(ending), into(worker),
                      into(started_at.value, started_at.indicator), into(when)),
        list(s, sql.list, use(before, "before"), use(states, "states"),
             use(queue, "queue"), use(kind, "kind"), use(when, "enqueued_before"),
             use(most, "most"), into(id)),
        list_many(s, sql.list_many, use(states, "states"), into(many)),
        list_near(s, sql.list_near, use(before, "before"), use(states, "states"),
                  use(queue, "queue"), use(kind, "kind"), use(when, "enqueued_before"),
                  use(most, "most"), into(id)),
        count_available(s, sql.count_available, into(queue), into(kind), into(jobs),
                        into(when)),
        read_rates(s, sql.read_rates, use(ids, "ids"), into(id), into(rate_key),
                   into(rate_starts), into(rate_period)),
        read_limits(s, sql.read_limits, use(ids, "ids"), into(id), into(limit_key),
                    into(limit_running)),
        count_waiting(s, sql.count_waiting, into(queue), into(state), into(jobs)),
        count_final(s, sql.count_final, into(queue), into(state), into(jobs)),
        paused(s, sql.paused, into(queue)),
        footprint(s, sql.footprint, into(jobs), into(spare.value, spare.indicator),
                  into(dead.value, dead.indicator),
                  into(oldest.value, oldest.indicator)) {}

  std::vector<JobRecord> records(std::span<const JobId> of);
  // Of these, in their order, as many as a list may have.
  std::vector<JobRecord> listed(std::span<const JobId> of);
  std::vector<std::size_t> sizes(std::span<const JobId> of);

  std::string ids;
  long long id = 0;
  long long before = 0;
  int states = 0;
  long long most = 0;
  long long jobs = 0;
  long long bytes = 0;
  long long when = 0;
  int state = 0;
  int many = 0;
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
  std::string unique_key;
  std::string payload;
  std::string result;
  Nullable notes_of;
  double fraction = 0;
  soci::indicator has_fraction = soci::i_null;
  std::string checkpoint;
  std::string log;
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
  Nullable spare;
  Nullable dead;
  Nullable oldest;

  Statement read_jobs;
  Statement read_sizes;
  Statement read_keys;
  Statement read_attempts;
  Statement list;
  Statement list_many;
  Statement list_near;
  Statement count_available;
  Statement read_rates;
  Statement read_limits;
  Statement count_waiting;
  Statement count_final;
  Statement paused;
  Statement footprint;
};

// Newest first.
std::vector<JobRecord> ServerMonitor::Tables::records(std::span<const JobId> of) {
  std::vector<JobRecord> records;
  if (of.empty()) return records;
  ids = json_array(of);
  read_jobs.rows([&] {
    JobRecord& r = records.emplace_back();
    r.id = to_id(id);
    r.state = to_state(state);
    r.queue = queue;
    r.kind = kind;
    r.priority = static_cast<std::int16_t>(priority);
    r.attempt = static_cast<std::uint16_t>(attempt);
    r.max_attempts = static_cast<std::uint16_t>(max_attempts);
    r.crashes = static_cast<std::uint16_t>(crashes);
    r.cancel_requested = cancel_requested != 0;
    r.fence = to_fence(fence);
    r.expires = to_optional_time(expires_at.get());
    r.enqueued = to_time(enqueued_at);
    r.run_at = to_time(run_at);
    r.started = to_optional_time(started_at.get());
    r.ended = to_optional_time(ended_at.get());
    r.timeout = Duration(timeout);
    r.worker = worker;
    r.request_id = from_hex(request_id);
    r.payload = from_hex(payload);
    r.result = from_hex(result);
    if (!notes_of.get()) return;
    if (has_fraction == soci::i_ok) {
      r.progress = Progress{static_cast<float>(fraction), from_hex(message)};
    }
    r.checkpoint = from_hex(checkpoint);
    r.log = from_hex(log);
  });
  // Servers sort with the rows in their hands, which may be long.
  std::sort(records.begin(), records.end(),
            [](const JobRecord& a, const JobRecord& b) { return a.id > b.id; });
  std::unordered_map<JobId, std::size_t> places;
  for (std::size_t i = 0; i < records.size(); ++i) places.emplace(records[i].id, i);
  read_limits.rows([&] {
    const auto place = places.find(to_id(id));
    if (place == places.end()) return;
    records[place->second].limit =
        Limit{limit_key, static_cast<std::uint32_t>(limit_running)};
  });
  read_rates.rows([&] {
    const auto place = places.find(to_id(id));
    if (place == places.end()) return;
    records[place->second].rate =
        Rate{rate_key, static_cast<std::uint32_t>(rate_starts), Duration(rate_period)};
  });
  read_keys.rows([&] {
    const auto place = places.find(to_id(id));
    if (place != places.end()) records[place->second].unique_key = from_hex(unique_key);
  });
  read_attempts.rows([&] {
    const auto place = places.find(to_id(id));
    if (place == places.end()) return;
    Attempt& a = records[place->second].attempts.emplace_back();
    a.attempt = static_cast<std::uint16_t>(attempt);
    a.fence = to_fence(fence);
    a.klass = static_cast<OutcomeClass>(klass);
    a.message = from_hex(message);
    a.code = static_cast<Code>(code);
    a.native = native;
    a.exit_code = exit_code;
    a.signal = signal;
    a.usage = {Duration(wall), Duration(cpu), static_cast<std::uint64_t>(max_rss)};
    a.stderr_tail = from_hex(stderr_tail);
    read_ending(from_hex(ending), a);
    a.worker = worker;
    if (auto started = started_at.get()) a.started = to_time(*started);
    a.ended = to_time(when);
  });
  return records;
}

std::vector<std::size_t> ServerMonitor::Tables::sizes(std::span<const JobId> of) {
  std::unordered_map<JobId, std::size_t> by_id;
  ids = json_array(of);
  read_sizes.rows([&] { by_id[to_id(id)] += static_cast<std::size_t>(bytes); });
  std::vector<std::size_t> sizes;
  sizes.reserve(of.size());
  for (const JobId one : of) sizes.push_back(by_id[one]);
  return sizes;
}

std::vector<JobRecord> ServerMonitor::Tables::listed(std::span<const JobId> of) {
  // MariaDB reads what is long to say how long it is: few are asked for, and more only
  // while these are not.
  constexpr std::size_t kFirst = 4;
  constexpr std::size_t kMost = 1000;
  std::vector<JobRecord> listed;
  std::size_t in_list = 0;
  for (std::size_t at_once = kFirst; !of.empty() && in_list < kMaxListBytes;
       at_once = std::min(8 * at_once, kMost)) {
    auto next = of.first(std::min(at_once, of.size()));
    of = of.subspan(next.size());
    std::vector<std::size_t> long_by = sizes(next);
    auto size = long_by.begin();
    while (!next.empty() && in_list < kMaxListBytes) {
      std::size_t n = 0;
      for (std::size_t in_answer = 0;
           n < next.size() && in_answer < kMaxAnswerBytes && in_list < kMaxListBytes;
           ++n, ++size) {
        in_answer += *size;
        in_list += *size;
      }
      for (JobRecord& r : records(next.first(n))) listed.push_back(std::move(r));
      next = next.subspan(n);
    }
  }
  return listed;
}

ServerMonitor::ServerMonitor(Driver& driver) : driver_(driver), reading_(driver) {}

ServerMonitor::~ServerMonitor() = default;

template <class Read>
auto ServerMonitor::snapshot(Read read) {
  return reading_.run([&](Tables& t) {
    Session& session = reading_.session();
    session.begin_reading();
    auto answer = read(t, session);
    session.rollback();
    return answer;
  });
}

Result<JobRecord> ServerMonitor::job(JobId id) {
  auto found = snapshot([&](Tables& t, Session&) { return t.records({&id, 1}); });
  if (!found) return tl::unexpected(std::move(found.error()));
  if (found->empty()) {
    return fail(Code::kNotFound, "there is no job " + std::to_string(value(id)),
                driver_.origin());
  }
  return std::move(found->front());
}

namespace {

// All of the states of this mask are those of rows that an index finds, in one table, and
// there may be very many of them.
bool may_be_many(int states) {
  constexpr auto mask = [](auto... of) { return ((1 << static_cast<int>(of)) | ...); };
  constexpr int kFinal = mask(State::kDiscarded, State::kCancelled);
  constexpr int kWaiting = mask(State::kScheduled, State::kRetryable);
  return (states & ~kFinal) == 0 || (states & ~kWaiting) == 0;
}

}  // namespace

Result<std::vector<JobRecord>> ServerMonitor::list(const Filter& filter, JobId before,
                                                   std::size_t limit) {
  return snapshot([&](Tables& t, Session& session) {
    t.states = filter.states.empty() ? (1 << kStateCount) - 1 : 0;
    for (const State state : filter.states) t.states |= 1 << static_cast<int>(state);
    constexpr int kAvailable = 1 << static_cast<int>(State::kAvailable);
    if ((t.states & kAvailable) != 0) t.states |= 1 << kAvailableLimited;
    t.before =
        value(before) == 0 ? std::numeric_limits<long long>::max() : to_column(before);
    t.queue = filter.queue;
    t.kind = filter.kind;
    t.when = std::numeric_limits<long long>::max();
    if (filter.older_than > Duration::zero()) {
      t.when = (session.now() - filter.older_than).time_since_epoch().count();
    }
    t.most = static_cast<long long>(std::min<std::size_t>(limit, 1U << 30));
    std::vector<JobId> ids;
    const auto add = [&] { ids.push_back(to_id(t.id)); };
    if (may_be_many(t.states) && t.list_many.run() && t.many != 0) t.list_near.rows(add);
    if (ids.size() < limit) {
      ids.clear();
      t.list.rows(add);
    }
    return t.listed(ids);
  });
}

Result<Counts> ServerMonitor::counts() {
  return snapshot([&](Tables& t, Session& session) {
    Counts counts;
    const auto add = [&](State state) {
      const auto n = static_cast<std::size_t>(state);
      const auto jobs = static_cast<std::uint64_t>(t.jobs);
      counts.by_queue[t.queue][n] += jobs;
      counts.total[n] += jobs;
    };
    std::optional<Time> oldest;
    t.count_available.rows([&] {
      add(State::kAvailable);
      counts.available_by_kind[t.kind] += static_cast<std::uint64_t>(t.jobs);
      const Time due = to_time(t.when);
      if (!oldest || due < *oldest) oldest = due;
    });
    if (oldest) {
      counts.oldest_available = std::max(session.now() - *oldest, Duration::zero());
    }
    t.count_waiting.rows([&] { add(static_cast<State>(t.state)); });
    t.count_final.rows([&] { add(static_cast<State>(t.state)); });
    return counts;
  });
}

Result<std::vector<std::string>> ServerMonitor::paused() {
  return snapshot([&](Tables& t, Session&) {
    std::vector<std::string> queues;
    t.paused.rows([&] { queues.push_back(t.queue); });
    return queues;
  });
}

Result<Footprint> ServerMonitor::footprint() {
  return snapshot([&](Tables& t, Session&) {
    const auto number = [](const Nullable& n) -> std::optional<std::uint64_t> {
      if (const auto value = n.get()) return static_cast<std::uint64_t>(*value);
      return std::nullopt;
    };
    Footprint footprint;
    t.footprint.rows([&] {
      footprint.jobs_bytes = static_cast<std::uint64_t>(t.jobs);
      footprint.free_bytes = number(t.spare);
      footprint.dead_rows = number(t.dead);
      if (const auto age = t.oldest.get()) {
        footprint.oldest_transaction = std::max(Duration(*age), Duration::zero());
      }
    });
    return footprint;
  });
}

}  // namespace carrel::sql::server
