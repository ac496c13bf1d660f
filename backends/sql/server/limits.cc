#include "server/limits.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "group_commit.h"
#include "server/rows.h"

namespace carrel::sql::server {

using soci::into;
using soci::use;

Limits::Limits(Session& session, const Statements& sql)
    : counts_(!sql.old_snapshots),
      rates_(session, sql),
      any_(session, sql.any_limits, into(is_limit_), into(is_rate_)),
      find_keys_(session, sql.limit_keys, use(ids_, "ids"), into(id_), into(key_),
                 into(is_rate_)),
      find_keys_now_(session, sql.limit_keys_now, use(ids_, "ids"), into(id_), into(key_),
                     into(is_rate_)),
      lock_(session, sql.lock_slots, use(ids_, "ids"), into(slot_)),
      try_(session, sql.try_slots, use(ids_, "ids"), into(slot_)),
      now_(session, sql.limits_now, use(ids_, "ids"), into(id_), into(key_), into(limit_),
           into(running_)),
      count_(session, sql.count_line, use(rows_, "rows"), into(n_), into(running_),
             into(available_)),
      next_(session, sql.next_line, use(rows_, "rows"), into(n_), into(lane_)),
      pending_(session, sql.pending_of_line, use(key_, "limit_key"), use(lane_, "lane"),
               use(most_, "most"), into(id_), into(limit_), into(rate_key_),
               into(starts_), into(period_)),
      add_(session, sql.add_limits, use(rows_, "rows")),
      set_(session, sql.set_limits, use(rows_, "rows")),
      drop_(session, sql.drop_limit, use(id_, "id")),
      free_(session, sql.free_jobs, use(ids_, "ids")),
      hold_(session, sql.hold_jobs, use(ids_, "ids")) {}

void Limits::begin(Time now, LimitsUse& limits_use, bool untouched) {
  use_ = &limits_use;
  at_ = now;
  looked_at_ = std::chrono::steady_clock::now();
  said_any_ = made_ = false;
  untouched_ = untouched;
  held_.clear();
  busy_.clear();
  keys_.clear();
  rates_of_.clear();
  admitted_.clear();
  touched_.clear();
  touched_rates_.clear();
  waking_rates_.clear();
  due_rates_.clear();
  notes_.take();
  rates_.begin(now);
}

bool Limits::expects_some() const {
  return looked_at_ < use_->looks_until || use_->used.made != use_->made;
}

bool Limits::any() {
  if (looked_at_ >= use_->next_look) look();
  return said_any_ = expects_some();
}

bool Limits::any_available() {
  return (expects_some() || looked_at_ >= use_->next_look) && look();
}

bool Limits::look() {
  use_->next_look = looked_at_ + use_->poll;
  const std::uint64_t made = use_->used.made;
  any_.run();
  if (is_rate_ != 0) use_->used.rates = true;
  if (is_limit_ != 0 || is_rate_ != 0 || made != use_->made) saw_some();
  use_->made = made;
  return said_any_ = is_limit_ != 0 || is_rate_ != 0;
}

void Limits::saw_some() {
  constexpr int kPolls = 60;
  use_->looks_until = looked_at_ + kPolls * use_->poll;
}

void Limits::committed() {
  if (std::exchange(made_, false)) ++use_->used.made;
}

void UsedLimits::Plain::add(std::span<const Claimed> jobs) {
  constexpr std::size_t kMany = 1U << 16;  // some are finished elsewhere
  const std::lock_guard lock(mutex_);
  if (ids_.size() > kMany) ids_.clear();
  for (const Claimed& job : jobs) ids_.insert(job.lease.id);
}

void UsedLimits::Plain::remove(JobId id) {
  const std::lock_guard lock(mutex_);
  ids_.erase(id);
}

std::vector<JobId> UsedLimits::Plain::take_others(std::span<const JobId> ids) {
  std::vector<JobId> others;
  const std::lock_guard lock(mutex_);
  for (const JobId id : ids) {
    if (ids_.erase(id) == 0) others.push_back(id);
  }
  return others;
}

void Limits::know_ended(std::span<const JobId> ids) {
  const std::vector<JobId> others = use_->used.plain.take_others(ids);
  if (!others.empty()) know(others);
}

void Limits::enter_operation() {
  if (!untouched_) return;
  lock(std::exchange(wanted_, {}));
}

void Limits::leave_operation() {
  untouched_ = false;
  waits_ = 0;
}

void Limits::locked_something() { untouched_ = false; }

// FNV-1a: the same in every process and version.
int Limits::slot_of(std::string_view key) {
  constexpr std::uint32_t kSlots = 1024;
  std::uint32_t hash = 2166136261U;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return static_cast<int>(hash % kSlots);
}

// Not that of a limit of the same name.
int Limits::rate_slot_of(std::string_view key) {
  return slot_of("rate " + std::string(key));
}

namespace {

std::string json_array_of(const std::set<int>& numbers) {
  std::string text = "[";
  for (const int n : numbers) {
    if (text.size() > 1) text += ',';
    text += std::to_string(n);
  }
  return text += ']';
}

// The states that are of interest here; others have no place in a line.
std::optional<State> in_line(State state) {
  if (state == State::kAvailable || state == State::kPending ||
      state == State::kRunning) {
    return state;
  }
  return std::nullopt;
}

}  // namespace

std::set<int> Limits::try_lock(const std::set<int>& slots) {
  std::set<int> missing;
  std::set_difference(slots.begin(), slots.end(), held_.begin(), held_.end(),
                      std::inserter(missing, missing.end()));
  if (missing.empty()) return missing;
  ids_ = json_array_of(missing);
  try_.rows([&] {
    held_.insert(slot_);
    missing.erase(slot_);
  });
  return missing;
}

void Limits::lock(std::set<int> slots) {
  if (slots.empty()) return;
  if (untouched_ && held_.empty()) {
    ids_ = json_array_of(slots);
    lock_.rows([&] { held_.insert(slot_); });
    return;
  }
  if (try_lock(slots).empty()) return;
  wanted_ = std::move(slots);
  wanted_.insert(held_.begin(), held_.end());
  throw NextTransaction{};
}

bool Limits::try_slot(int slot) { return try_lock({slot}).empty(); }

std::set<int> Limits::Keys::slots() const {
  std::set<int> slots;
  for (const auto& [id, key] : limits) slots.insert(slot_of(key));
  for (const auto& [id, key] : rates) slots.insert(rate_slot_of(key));
  return slots;
}

bool Limits::Keys::touches(JobId id, const std::set<int>& slots) const {
  const auto limit = limits.find(id);
  const auto rate = rates.find(id);
  return (limit != limits.end() && slots.contains(slot_of(limit->second))) ||
         (rate != rates.end() && slots.contains(rate_slot_of(rate->second)));
}

Limits::Keys Limits::keys_of(std::span<const JobId> ids, Statement& find) {
  Keys keys;
  if (ids.empty()) return keys;
  ids_ = json_array(ids);
  find.rows(
      [&] { (is_rate_ != 0 ? keys.rates : keys.limits).emplace(to_id(id_), key_); });
  return keys;
}

void Limits::merge(Keys keys) {
  keys_.merge(keys.limits);
  rates_of_.merge(keys.rates);
}

void Limits::know(std::span<const JobId> ids) {
  Keys keys = keys_of(ids);
  lock(keys.slots());
  merge(std::move(keys));
}

void Limits::know_locked(std::span<const JobId> ids) {
  Keys keys = keys_of(ids);
  std::set<int> slots = keys.slots();
  if (!try_lock(slots).empty()) {
    wanted_ = std::move(slots);
    wanted_.insert(held_.begin(), held_.end());
    throw NextTransaction{};
  }
  for (const JobId id : ids) {
    keys_.erase(id);
    rates_of_.erase(id);
  }
  merge(std::move(keys));
}

bool Limits::try_know(std::span<const JobId> ids) {
  Keys keys = keys_of(ids, find_keys_now_ ? find_keys_now_ : find_keys_);
  if (!try_lock(keys.slots()).empty()) return false;
  merge(std::move(keys));
  return true;
}

std::vector<Limits::Count> Limits::count(std::span<const Line> lines) {
  std::vector<Count> counts(lines.size());
  // Not counted: the claim finds what is too many.
  if (lines.empty() || !counts_) return counts;
  JsonRows rows;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    rows.row()
        .add("n", static_cast<long long>(i))
        .add_text("limit_key", lines[i].key)
        .add_text("lane", lines[i].lane);
  }
  rows_ = rows.take();
  count_.rows([&] { counts.at(static_cast<std::size_t>(n_)) = {running_, available_}; });
  return counts;
}

namespace {

std::string lane_of(const NewJob& job) {
  return LimitedLane{job.queue, job.kind, job.priority}.text();
}

}  // namespace

void Limits::lock_keys(std::span<const NewJob* const> jobs) {
  std::set<int> slots;
  for (const NewJob* job : jobs) {
    if (job->limit) slots.insert(slot_of(job->limit->key));
    if (job->rate) slots.insert(rate_slot_of(job->rate->key));
  }
  lock(std::move(slots));
}

void Limits::lock_queues(const std::vector<std::string>& queues) {
  std::set<int> slots;
  for (const std::string& queue : queues) slots.insert(slot_of("queue:" + queue));
  lock(std::move(slots));
}

void Limits::place(std::span<const Placing> jobs) {
  std::map<Line, Count> counts;
  for (const auto& [job, row] : jobs) counts[{job->limit->key, lane_of(*job)}];
  std::vector<Line> lines;
  lines.reserve(counts.size());
  for (const auto& [line, none] : counts) lines.push_back(line);
  const std::vector<Count> found = count(lines);
  for (std::size_t i = 0; i < lines.size(); ++i) counts[lines[i]] = found[i];
  for (const auto& [job, row] : jobs) {
    Count& now = counts[{job->limit->key, lane_of(*job)}];
    if (now.running + now.available < job->limit->running) {
      ++now.available;
    } else {
      rules::hold(*row);
    }
  }
}

void Limits::add(JobId id, const NewJob& job, State state, Time run_at) {
  const bool waits = job.rate && state == State::kPending;
  if (job.rate) {
    rates_.add(id, *job.rate, lane_of(job), waits, run_at);
    if (waits) touched_rates_.insert(job.rate->key);
    use_->used.rates = true;
  }
  if (!job.limit) return;
  if (state == State::kAvailable) made_ = true;
  notes_.row()
      .add("job", to_column(id))
      .add_text("limit_key", job.limit->key)
      .add_text("lane", lane_of(job))
      .add("run_at", run_at.time_since_epoch().count())
      .add("running", job.limit->running);
  const auto line = in_line(state);
  if (line && !waits) notes_.add("state", static_cast<int>(*line));
  if (notes_.full()) write_added();
}

void Limits::write_added() {
  rates_.write();
  if (notes_.empty()) return;
  rows_ = notes_.take();
  add_.run();
}

void Limits::note_limit(JobId id, std::optional<State> state,
                        std::optional<Time> run_at) {
  notes_.row().add("job", to_column(id));
  if (state == State::kAvailable && is_rated(id)) {
    notes_.add("state", kAvailableLimited);  // found by its rate
  } else if (state) {
    notes_.add("state", static_cast<int>(*state));
  }
  if (run_at) notes_.add("run_at", run_at->time_since_epoch().count());
}

void Limits::note(JobId id, std::optional<State> state, std::optional<Time> run_at) {
  const auto known = keys_.find(id);
  if (known == keys_.end()) return;
  note_limit(id, state, run_at);
  if (state != State::kRunning) touched_.insert(known->second);
}

void Limits::change(const StoredRow& row, const NewJob& job) {
  write_notes();
  if (const auto known = rates_of_.find(row.id); known != rates_of_.end()) {
    touched_rates_.insert(known->second);
    rates_.drop(row.id);
    rates_of_.erase(known);
  }
  const std::string lane = LimitedLane{row.queue, row.kind, row.priority}.text();
  if (job.rate) {
    rates_.add(row.id, *job.rate, lane, false, row.run_at);
    rates_of_.emplace(row.id, job.rate->key);
    use_->used.rates = true;
  }
  if (const auto known = keys_.find(row.id); known != keys_.end()) {
    touched_.insert(known->second);
    id_ = to_column(row.id);
    drop_.run();
    keys_.erase(known);
  }
  if (!job.limit) return;
  JsonRows rows;
  rows.row()
      .add("job", to_column(row.id))
      .add_text("limit_key", job.limit->key)
      .add_text("lane", lane)
      .add("run_at", row.run_at.time_since_epoch().count())
      .add("running", job.limit->running);
  rows_ = rows.take();
  add_.run();
  keys_.emplace(row.id, job.limit->key);
}

void Limits::moved(const StoredRow& row) {
  const auto rate = rates_of_.find(row.id);
  if (rate == rates_of_.end()) {
    note(row.id, in_line(row.rule.state), row.run_at);
    return;
  }
  const bool waits = row.rule.state == State::kPending;
  note(row.id, waits ? std::nullopt : in_line(row.rule.state), row.run_at);
  rates_.note(row.id, waits ? std::optional(Standing::kWaits) : std::nullopt, row.run_at);
  touched_rates_.insert(rate->second);
}

void Limits::started(const Lease& lease) {
  use_->used.plain.remove(lease.id);  // it may have come by its limit since
  note(lease.id, State::kRunning, std::nullopt);
  const auto rate = admitted_.find(lease.id);
  if (rate == admitted_.end()) return;
  rates_.note(lease.id, std::nullopt);
  rates_.start(lease, rate->second);
  waking_rates_.insert(rate->second.key);
  admitted_.erase(rate);
}

void Limits::write_notes() {
  rates_.write();
  if (notes_.empty()) return;
  rows_ = notes_.take();
  set_.run();
}

Limits::Admission Limits::admit(std::span<const JobId> ids) {
  Admission answer;
  Keys keys = keys_of(ids);
  const std::set<int> busy = try_lock(keys.slots());
  busy_.insert(busy.begin(), busy.end());
  std::vector<JobId> asked;
  std::vector<JobId> asked_rates;
  for (const JobId id : ids) {
    if (!keys.contains(id)) continue;
    if (keys.touches(id, busy)) {
      answer.busy.push_back(id);
      continue;
    }
    asked.push_back(id);
    if (keys.rates.contains(id)) asked_rates.push_back(id);
  }
  if (asked.empty()) return answer;
  // As it is now that nobody else changes it.
  struct Now {
    std::string key;
    long long limit;
  };
  std::unordered_map<JobId, Now> limited;
  std::unordered_map<std::string, long long> running;
  ids_ = json_array(asked);
  now_.rows([&] {
    limited.emplace(to_id(id_), Now{key_, limit_});
    running.emplace(key_, running_);
  });
  std::unordered_map<JobId, Rates::Now> rated;
  for (Rates::Now& now : rates_.now(asked_rates)) rated.emplace(now.id, std::move(now));
  std::unordered_map<std::string, long long> starting;
  merge(std::move(keys));
  // One that went to another key in between: what runs of that may change any moment.
  const auto went_elsewhere = [&](JobId id) {
    std::set<int> slots;
    if (const auto limit = limited.find(id); limit != limited.end()) {
      slots.insert(slot_of(limit->second.key));
      keys_.insert_or_assign(id, limit->second.key);
    }
    if (const auto rate = rated.find(id); rate != rated.end()) {
      slots.insert(rate_slot_of(rate->second.rate.key));
      rates_of_.insert_or_assign(id, rate->second.rate.key);
    }
    if (std::includes(held_.begin(), held_.end(), slots.begin(), slots.end())) {
      return false;
    }
    busy_.insert(slots.begin(), slots.end());
    return true;
  };
  std::vector<JobId> refused;
  for (const JobId id : asked) {
    const auto limit = limited.find(id);
    const auto rate = rated.find(id);
    if (went_elsewhere(id)) {
      answer.busy.push_back(id);
      continue;
    }
    const bool has_limit = keys_.contains(id);
    if ((has_limit && limit == limited.end()) || (is_rated(id) && rate == rated.end())) {
      continue;  // it is not available any more
    }
    if (rate != rated.end()) {
      const Rate& of = rate->second.rate;
      if (rate->second.begun + starting[of.key] >= of.starts) {
        refused.push_back(id);
        note(id, std::nullopt, std::nullopt);
        rates_.note(id, Standing::kWaits);
        waking_rates_.insert(of.key);
        continue;
      }
    }
    if (has_limit && running[limit->second.key] >= limit->second.limit) {
      refused.push_back(id);
      // Touches its key, too: should one of the admitted not be claimed after all.
      note(id, State::kPending, std::nullopt);
      if (rate != rated.end()) {
        rates_.note(id, std::nullopt);
        waking_rates_.insert(rate->second.rate.key);
      }
      continue;
    }
    if (has_limit) ++running[limit->second.key];
    if (rate != rated.end()) {
      ++starting[rate->second.rate.key];
      admitted_.insert_or_assign(id, rate->second.rate);
    }
    answer.admitted.push_back(id);
  }
  if (refused.empty()) return answer;
  ids_ = json_array(refused);
  hold_.run();
  write_notes();
  return answer;
}

bool Limits::wait_for_busy() {
  constexpr int kOften = 10;
  if (busy_.empty() || ++waits_ > kOften) return false;
  wanted_ = std::exchange(busy_, {});
  return true;
}

// Of the keys that were touched, the lanes in which jobs wait.
std::vector<Limits::Line> Limits::waiting_lines() {
  std::vector<Line> lines;
  std::vector<Line> at;
  for (const std::string& key : std::exchange(touched_, {})) at.push_back({key, ""});
  while (!at.empty()) {
    JsonRows rows;
    for (std::size_t i = 0; i < at.size(); ++i) {
      rows.row()
          .add("n", static_cast<long long>(i))
          .add_text("limit_key", at[i].key)
          .add_text("lane", at[i].lane);
    }
    rows_ = rows.take();
    std::vector<Line> next;
    next_.rows([&] {
      if (!lane_.empty())
        next.push_back({at.at(static_cast<std::size_t>(n_)).key, lane_});
    });
    lines.insert(lines.end(), next.begin(), next.end());
    at = std::move(next);
  }
  return lines;
}

// Makes pending jobs of a lane available. write_notes() is to follow.
void Limits::let_go(const std::vector<JobId>& ids, const LimitedLane& lane,
                    std::vector<Ticket>& freed) {
  if (ids.empty()) return;
  ids_ = json_array(ids);
  free_.run();
  made_ = true;
  for (const JobId id : ids) freed.push_back({id, lane.queue, lane.kind, lane.priority});
}

void Limits::free(const Line& line, Count count, std::vector<Ticket>& freed) {
  constexpr std::size_t kAtOnce = 64;
  struct Waiting {
    JobId id;
    long long limit;
    Rate rate;
  };
  long long ahead = count.running + count.available;
  for (bool more = true; more;) {
    std::vector<Waiting> waiting;
    key_ = line.key;
    lane_ = line.lane;
    most_ = kAtOnce;
    pending_.rows([&] {
      waiting.push_back(
          {to_id(id_), limit_,
           Rate{rate_key_, static_cast<std::uint32_t>(starts_), Duration(period_)}});
    });
    std::vector<JobId> ids;
    std::set<std::string> shut;  // rates whose window is full
    bool full = false;
    for (const auto& [id, limit, rate] : waiting) {
      if (ahead >= limit) {
        full = true;
        continue;
      }
      const bool rated = !rate.key.empty();
      const bool closed = rated && (shut.contains(rate.key) ||
                                    (try_slot(rate_slot_of(rate.key)) &&
                                     rates_.ahead(rate, line.lane) >= rate.starts));
      if (!closed) {
        ids.push_back(id);
        ++ahead;
        if (!rated) {
          note_limit(id, State::kAvailable, std::nullopt);
          continue;
        }
        rates_of_.emplace(id, rate.key);
        note_limit(id, State::kAvailable, std::nullopt);
        rates_.note(id, Standing::kAvailable);
        rates_.ahead(rate, line.lane);
        rates_.more(rate, line.lane);
        continue;
      }
      // It waits for that now, and whoever is behind it may run in its stead.
      shut.insert(rate.key);
      note_limit(id, std::nullopt, std::nullopt);
      rates_.note(id, Standing::kWaits);
      waking_rates_.insert(rate.key);
    }
    more = waiting.size() == kAtOnce && !full;
    let_go(ids, LimitedLane::of(line.lane), freed);
    write_notes();
  }
}

// Those whose window has room. Where their limit is full, they wait for that instead.
void Limits::free_rated(const Rates::Line& line, std::vector<Ticket>& freed) {
  constexpr std::size_t kAtOnce = 64;
  const auto waiting = rates_.waiting(line, kAtOnce);
  std::set<std::string> limit_keys;
  for (const auto& one : waiting) {
    const bool limited = !one.limit_key.empty();
    if (limited && try_slot(slot_of(one.limit_key))) limit_keys.insert(one.limit_key);
  }
  std::vector<Line> lines;
  lines.reserve(limit_keys.size());
  for (const std::string& key : limit_keys) lines.push_back({key, line.lane});
  std::map<std::string, Count> counts;
  const std::vector<Count> found = count(lines);
  for (std::size_t i = 0; i < lines.size(); ++i) counts[lines[i].key] = found[i];
  std::vector<JobId> ids;
  for (const auto& [id, rate, limit_key, limit] : waiting) {
    if (rates_.ahead(rate, line.lane) >= rate.starts) break;
    if (!limit_key.empty()) {
      rates_of_.emplace(id, rate.key);
      if (const auto known = counts.find(limit_key); known != counts.end()) {
        Count& now = known->second;
        if (now.running + now.available >= limit) {
          note_limit(id, State::kPending, std::nullopt);
          rates_.note(id, std::nullopt);
          continue;
        }
        ++now.available;
      }
      note_limit(id, State::kAvailable, std::nullopt);
    }
    ids.push_back(id);
    rates_.note(id, Standing::kAvailable);
    rates_.more(rate, line.lane);
  }
  let_go(ids, LimitedLane::of(line.lane), freed);
  write_notes();
}

void Limits::windows_opened() {
  constexpr std::size_t kMany = 100;
  const std::vector<std::string> keys = rates_.due(kMany);
  std::set<int> slots;
  for (const std::string& key : keys) slots.insert(rate_slot_of(key));
  lock(std::move(slots));
  touched_rates_.insert(keys.begin(), keys.end());
  due_rates_.insert(keys.begin(), keys.end());
}

std::vector<Ticket> Limits::settle() {
  std::vector<Ticket> freed;
  write_notes();
  const auto rates = std::exchange(touched_rates_, {});
  for (const Rates::Line& line : rates_.waiting_lines(rates)) free_rated(line, freed);
  if (!touched_.empty()) {
    const std::vector<Line> lines = waiting_lines();
    const std::vector<Count> counts = count(lines);
    for (std::size_t i = 0; i < lines.size(); ++i) free(lines[i], counts[i], freed);
  }
  waking_rates_.insert(rates.begin(), rates.end());
  const auto due = std::exchange(due_rates_, {});
  for (const std::string& key : due) waking_rates_.erase(key);
  rates_.wake_in_time(std::exchange(waking_rates_, {}));
  for (const std::string& key : due) rates_.looked_at(key);
  return freed;
}

}  // namespace carrel::sql::server
