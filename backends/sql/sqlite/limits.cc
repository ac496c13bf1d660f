#include "limits.h"

#include <algorithm>
#include <unordered_map>

#include "statements.h"

namespace carrel::sql::sqlite {

using soci::into;
using soci::use;

Limits::Limits(soci::session& session, RowLoader& loader, RowSaver& saver)
    : loader_(loader),
      saver_(saver),
      rates_(session),
      any_statement_(session, statements::kAnyLimited, into(number_), into(rated_)),
      any_available_(session, statements::kAnyAvailableLimited, into(number_)),
      add_(session, statements::kAddLimited, use(id_, "job"), use(key_, "key"),
           use(limit_, "running"), use(state_.value, state_.indicator, "state"),
           use(queue_, "queue"), use(kind_, "kind"), use(priority_, "priority"),
           use(run_at_, "run_at")),
      find_(session, statements::kFindLimited, use(id_, "job"), into(key_), into(limit_)),
      find_available_(session, statements::kFindAvailableLimited, use(ids_, "ids"),
                      into(id_), into(key_), into(limit_), into(some_run_)),
      running_of_keys_(session, statements::kCountRunningOfKeys, use(ids_, "ids"),
                       into(key_), into(number_)),
      start_(session, statements::kStartLimited, use(ids_, "ids")),
      rename_(session, statements::kRenameLimited, use(key_, "key"),
              use(limit_, "running"), use(id_, "job")),
      delete_(session, statements::kDeleteLimits, use(ids_, "ids")),
      set_(session, statements::kSetLimited, use(state_.value, state_.indicator, "state"),
           use(run_at_, "run_at"), use(id_, "job")),
      running_(session, statements::kCountRunningOfKey, use(key_, "key"), into(number_)),
      available_(session, statements::kCountAvailableOfKey, use(key_, "key"),
                 use(queue_, "queue"), use(kind_, "kind"), use(priority_, "priority"),
                 into(number_)),
      next_priority_(session, statements::kNextPriorityOfKey, use(key_, "key"),
                     use(queue_, "queue"), use(kind_, "kind"), use(priority_, "priority"),
                     into(priority_)),
      next_kind_(session, statements::kNextKindOfKey, use(key_, "key"),
                 use(queue_, "queue"), use(kind_, "kind"), into(kind_), into(priority_)),
      next_queue_(session, statements::kNextQueueOfKey, use(key_, "key"),
                  use(queue_, "queue"), into(queue_), into(kind_), into(priority_)),
      pending_(session, statements::kPendingOfKey, use(key_, "key"), use(queue_, "queue"),
               use(kind_, "kind"), use(priority_, "priority"), use(most_, "most"),
               into(id_), into(limit_)) {}

void Limits::begin() {
  any_statement_.run();
  any_rate_ = rated_ != 0;
  any_ = number_ != 0 || any_rate_;
}

bool Limits::any_available() {
  if (!any_) return false;
  any_available_.run();
  return number_ != 0;
}

void Limits::rollback() {
  touched_.clear();
  touched_rates_.clear();
  waking_rates_.clear();
  due_rates_.clear();
}

long long Limits::running(const std::string& key) {
  key_ = key;
  running_.run();
  return number_;
}

long long Limits::available(const std::string& key, const Lane& lane) {
  key_ = key;
  queue_ = lane.queue;
  kind_ = lane.kind;
  priority_ = lane.priority;
  available_.run();
  return number_;
}

namespace {

// The states that are of interest here; others have no place in a line.
std::optional<State> in_line(State state) {
  if (state == State::kAvailable || state == State::kPending ||
      state == State::kRunning) {
    return state;
  }
  return std::nullopt;
}

std::optional<long long> column(std::optional<State> state) {
  return state ? std::optional(static_cast<long long>(*state)) : std::nullopt;
}

std::optional<Standing> standing(State state) {
  return state == State::kAvailable ? std::optional(Standing::kAvailable) : std::nullopt;
}

}  // namespace

std::optional<Limits::Known> Limits::find(JobId id) {
  id_ = to_column(id);
  if (!find_.run()) return std::nullopt;
  return Known{key_, limit_};
}

bool Limits::full(const Known& limit, const Lane& lane) {
  return running(limit.key) + available(limit.key, lane) >= limit.limit;
}

namespace {

template <class Lane>
std::string rate_lane(const Lane& lane) {
  return Rates::lane(lane.queue, lane.kind, lane.priority);
}

}  // namespace

// What an available job that is in no line yet has to wait for.
Limits::WaitsFor Limits::gate(const std::optional<Known>& limit,
                              const std::optional<Rate>& rate, const Lane& lane,
                              Time at) {
  if (rate) {
    const std::string line = rate_lane(lane);
    if (rates_.others_wait(rate->key, line) || rates_.crowded(*rate, line, at)) {
      return WaitsFor::kWindow;
    }
  }
  return limit && full(*limit, lane) ? WaitsFor::kLimit : WaitsFor::kNothing;
}

Limits::WaitsFor Limits::place(const NewJob& job, rules::Row& row, Time at) {
  if (row.state != State::kAvailable) return WaitsFor::kNothing;
  std::optional<Known> limit;
  if (job.limit) limit = {job.limit->key, job.limit->running};
  const WaitsFor waits = gate(limit, job.rate, {job.queue, job.kind, job.priority}, at);
  if (waits != WaitsFor::kNothing) rules::hold(row);
  return waits;
}

void Limits::add(JobId id, const NewJob& job, const rules::Row& row, WaitsFor waits,
                 long long run_at, Time at) {
  if (job.limit) {
    id_ = to_column(id);
    key_ = job.limit->key;
    limit_ = job.limit->running;
    state_.set(waits == WaitsFor::kWindow ? std::nullopt : column(in_line(row.state)));
    queue_ = job.queue;
    kind_ = job.kind;
    priority_ = job.priority;
    run_at_ = run_at;
    add_.run();
    any_ = true;
  }
  if (!job.rate) return;
  const Lane lane{job.queue, job.kind, job.priority};
  rates_.add(id, *job.rate, rate_lane(lane),
             waits == WaitsFor::kWindow ? Standing::kWaits : standing(row.state), run_at,
             at);
  if (waits == WaitsFor::kWindow) waking_rates_.insert(job.rate->key);
  any_ = any_rate_ = true;
}

void Limits::set_state(JobId id, std::optional<State> state, Time run_at) {
  id_ = to_column(id);
  state_.set(column(state));
  run_at_ = run_at.time_since_epoch().count();
  set_.run();
}

void Limits::wait_for_window(JobId id, Time run_at) {
  set_state(id, std::nullopt, run_at);
  rates_.set(id, Standing::kWaits, run_at);
}

void Limits::wait_for_limit(JobId id, Time run_at) {
  set_state(id, State::kPending, run_at);
  if (any_rate_) rates_.set(id, std::nullopt, run_at);
}

std::vector<JobId> Limits::admit(std::span<const JobId> ids, Time at) {
  Asked limited;
  ids_ = json_array(ids);
  find_available_.rows([&] {
    limited.emplace(to_id(id_), Limited{key_, limit_, some_run_ != 0});
  });
  return admit(ids, limited, at);
}

// Of the keys of these; one of which nothing runs is not in it. Most keys are either free
// or full: only those that let several run have to be counted.
std::unordered_map<std::string, long long> Limits::running_of(const Asked& limited) {
  std::unordered_map<std::string, long long> running;
  std::vector<JobId> counted;
  for (const auto& [id, limit] : limited) {
    if (!limit.some_run) continue;
    running.emplace(limit.key, 1);  // at least
    if (limit.limit > 1) counted.push_back(id);
  }
  if (counted.empty()) return running;
  ids_ = json_array(counted);
  running_of_keys_.rows([&] { running.insert_or_assign(key_, number_); });
  return running;
}

std::vector<JobId> Limits::admit(std::span<const JobId> ids, const Asked& limited,
                                 Time at) {
  std::unordered_map<JobId, Rate> rated;
  if (any_rate_) rated = rates_.find_available(ids);
  if (limited.empty() && rated.empty()) return {ids.begin(), ids.end()};
  auto running_now = running_of(limited);
  std::map<std::string, long long> starting;
  std::vector<JobId> admitted;
  std::vector<JobId> at_limit;
  std::vector<JobId> at_window;
  for (const JobId id : ids) {
    const auto rate = rated.find(id);
    const auto limit = limited.find(id);
    if (rate != rated.end() &&
        rates_.full(rate->second, at, starting[rate->second.key])) {
      at_window.push_back(id);
      waking_rates_.insert(rate->second.key);
      if (limit != limited.end()) touched_.insert(limit->second.key);
      continue;
    }
    if (limit != limited.end()) {
      const std::string& key = limit->second.key;
      long long& count = running_now[key];
      if (count >= limit->second.limit) {
        at_limit.push_back(id);
        touched_.insert(key);  // should one of the admitted not be claimed after all
        if (rate != rated.end()) waking_rates_.insert(rate->second.key);
        continue;
      }
      ++count;
    }
    if (rate != rated.end()) ++starting[rate->second.key];
    admitted.push_back(id);
  }
  hold(at_limit, WaitsFor::kLimit);
  hold(at_window, WaitsFor::kWindow);
  return admitted;
}

void Limits::hold(std::span<const JobId> ids, WaitsFor what) {
  if (ids.empty()) return;
  for (auto& [id, row] : loader_.load(ids)) {
    if (!rules::hold(row.rule)) continue;
    saver_.save(row);
    if (what == WaitsFor::kWindow) {
      wait_for_window(id, row.run_at);
    } else {
      wait_for_limit(id, row.run_at);
    }
  }
}

void Limits::started(std::span<const Claimed> jobs, Time at) {
  if (jobs.empty()) return;
  std::vector<JobId> ids;
  ids.reserve(jobs.size());
  for (const Claimed& job : jobs) ids.push_back(job.lease.id);
  if (any_rate_) {
    const auto rated = rates_.find_available(ids);
    for (const Claimed& job : jobs) {
      const auto rate = rated.find(job.lease.id);
      if (rate == rated.end()) continue;
      rates_.set(job.lease.id, std::nullopt, at);
      rates_.start(job.lease, rate->second, at);
      waking_rates_.insert(rate->second.key);
    }
  }
  ids_ = json_array(ids);
  start_.run();
}

void Limits::change(const StoredRow& row, const NewJob& job, Time at) {
  const std::string lane = Rates::lane(row.queue, row.kind, row.priority);
  if (const auto had = rates_.find(row.id)) {
    touched_rates_.insert(had->key);
    rates_.drop(row.id);
  }
  if (job.rate) {
    rates_.add(row.id, *job.rate, lane, std::nullopt,
               row.run_at.time_since_epoch().count(), at);
    any_ = any_rate_ = true;
  }
  const auto had = find(row.id);
  if (had) touched_.insert(had->key);
  if (had && !job.limit) {
    ids_ = json_array({&row.id, 1});
    delete_.run();
    return;
  }
  if (!job.limit) return;
  id_ = to_column(row.id);
  key_ = job.limit->key;
  limit_ = job.limit->running;
  if (had) {
    rename_.run();
    return;
  }
  state_.set(std::nullopt);
  queue_ = row.queue;
  kind_ = row.kind;
  priority_ = row.priority;
  run_at_ = row.run_at.time_since_epoch().count();
  add_.run();
  any_ = true;
}

void Limits::not_begun(const StoredRow& row) {
  if (!any_rate_) return;
  const auto rate = rates_.find(row.id);
  if (!rate || !row.started) return;
  rates_.take_back({row.id, row.rule.fence}, rate->key, *row.started);
}

void Limits::moving(StoredRow& row, Time at) {
  const auto limit = find(row.id);
  const auto rate = any_rate_ ? rates_.find(row.id) : std::nullopt;
  if (!limit && !rate) return;
  if (limit) {
    touched_.insert(limit->key);
    set_state(row.id, std::nullopt, row.run_at);
  }
  if (rate) {
    touched_rates_.insert(rate->key);
    rates_.set(row.id, std::nullopt, row.run_at);
  }
  const bool due = row.rule.state == State::kAvailable;
  const WaitsFor waits = due ? gate(limit, rate, {row.queue, row.kind, row.priority}, at)
                             : WaitsFor::kNothing;
  if (waits != WaitsFor::kNothing) rules::hold(row.rule);
  if (waits == WaitsFor::kWindow) {
    wait_for_window(row.id, row.run_at);
    return;
  }
  if (const auto state = in_line(row.rule.state); limit && state) {
    set_state(row.id, state, row.run_at);
  }
  if (rate && waits == WaitsFor::kNothing) {
    rates_.set(row.id, standing(row.rule.state), row.run_at);
  }
}

void Limits::finished(JobId id) {
  const auto limit = find(id);
  if (!limit) return;
  touched_.insert(limit->key);
  set_state(id, std::nullopt, Time{});
}

void Limits::windows_opened(Time at, std::size_t most) {
  for (std::string& key : rates_.due(at, most)) {
    touched_rates_.insert(key);
    due_rates_.insert(std::move(key));
    any_ = true;  // starts are kept when there is no job any more
  }
}

std::vector<Limits::Lane> Limits::lanes_with_pending(const std::string& key) {
  std::vector<Lane> lanes;
  key_ = key;
  queue_.clear();
  while (next_queue_.run()) {
    do {
      do {
        lanes.push_back({queue_, kind_, priority_});
      } while (next_priority_.run());
    } while (next_kind_.run());
  }
  return lanes;
}

bool Limits::let_go(JobId id, std::vector<StoredRow>& freed) {
  auto rows = loader_.load({&id, 1});
  const auto found = rows.find(id);
  if (found == rows.end() || !rules::free(found->second.rule)) return false;
  StoredRow& row = found->second;
  saver_.save(row);
  set_state(id, State::kAvailable, row.run_at);
  if (any_rate_) rates_.set(id, Standing::kAvailable, row.run_at);
  freed.push_back(std::move(row));
  return true;
}

namespace {

constexpr int kAtOnce = 256;  // looked at in a lane for the sake of one

}  // namespace

void Limits::free_lane(const std::string& key, const Lane& lane, long long running,
                       std::vector<StoredRow>& freed, Time at) {
  const std::string line = rate_lane(lane);
  std::set<std::string> shut;  // rates whose window is full
  for (bool more = true; more;) {
    std::vector<std::pair<JobId, long long>> waiting;
    long long ahead = running + available(key, lane);
    most_ = kAtOnce;
    int seen = 0;
    pending_.rows([&] {
      ++seen;
      if (ahead < limit_) waiting.emplace_back(to_id(id_), limit_);
    });
    int moved = 0;
    for (const auto& [id, limit] : waiting) {
      if (ahead >= limit) continue;
      const auto rate = any_rate_ ? rates_.find(id) : std::nullopt;
      if (!rate || (!shut.contains(rate->key) && !rates_.crowded(*rate, line, at))) {
        if (!let_go(id, freed)) continue;
        ++ahead;
        ++moved;
        continue;
      }
      // It waits for that now, and whoever is behind it may run in its stead.
      shut.insert(rate->key);
      for (const auto& [job, row] : loader_.load({&id, 1})) {
        wait_for_window(job, row.run_at);
        ++moved;
      }
      waking_rates_.insert(rate->key);
    }
    more = moved == kAtOnce && seen == kAtOnce;
  }
}

void Limits::free_rated(const std::string& key, std::vector<StoredRow>& freed, Time at) {
  for (const std::string& lane : rates_.lanes(key)) {
    for (const auto& [id, rate] : rates_.waiting(key, lane, kAtOnce)) {
      if (rates_.crowded(rate, lane, at)) break;
      const auto limit = find(id);
      auto rows = loader_.load({&id, 1});
      for (const auto& [job, row] : rows) {
        if (limit && full(*limit, {row.queue, row.kind, row.priority})) {
          wait_for_limit(job, row.run_at);
        } else {
          let_go(job, freed);
        }
      }
      if (rows.empty()) rates_.drop(id);
    }
  }
}

std::vector<StoredRow> Limits::settle(Time at) {
  std::vector<StoredRow> freed;
  for (const std::string& key : touched_rates_) {
    free_rated(key, freed, at);
    waking_rates_.insert(key);
  }
  for (const std::string& key : touched_) {
    const long long now = running(key);
    for (const Lane& lane : lanes_with_pending(key)) {
      free_lane(key, lane, now, freed, at);
    }
  }
  for (const std::string& key : waking_rates_) {
    if (!due_rates_.contains(key)) rates_.wake_in_time(key);
  }
  for (const std::string& key : due_rates_) rates_.looked_at(key, at);
  rollback();
  return freed;
}

}  // namespace carrel::sql::sqlite
