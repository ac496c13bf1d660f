#include "server/limits.h"

#include <utility>

#include "server/rows.h"

namespace carrel::sql::server {

using soci::into;
using soci::use;

Limits::Limits(Session& session, const Statements& sql)
    : counts_(!sql.old_snapshots),
      rates_(session, sql),
      lines_(session, sql.end_lines, sql.next_line),
      any_(session, sql.any_limits, into(some_ask_)),
      find_keys_(session, sql.limit_keys, use(ids_, "ids"), into(id_), into(key_),
                 into(is_rate_)),
      find_keys_now_(session, sql.limit_keys_now, use(ids_, "ids"), into(id_), into(key_),
                     into(is_rate_)),
      session_(session),
      lock_(session, sql.lock_slots, use(ids_, "ids"), into(slot_)),
      lock_now_(session, sql.lock_slots_now, use(ids_, "ids"), into(slot_)),
      try_(session, sql.try_slots, use(ids_, "ids"), into(slot_)),
      now_(session, sql.limits_now, use(ids_, "ids"), into(id_), into(key_), into(limit_),
           into(state_), into(running_), into(reserved_), into(least_)),
      count_(session, sql.count_lanes, use(rows_, "rows"), into(n_), into(lane_),
             into(running_), into(reserved_), into(least_), into(asking_)),
      pending_(session, sql.pending_of_line, use(key_, "limit_key"), use(lane_, "lane"),
               use(most_, "most"), into(id_), into(limit_), into(rate_key_),
               into(starts_), into(period_)),
      add_(session, sql.add_limits, use(rows_, "rows")),
      set_(session, sql.set_limits, use(rows_, "rows")),
      drop_(session, sql.drop_limit, use(id_, "id")),
      forget_place_(session, sql.forget_place, use(id_, "id")),
      unreserve_(session, sql.unreserve, use(rows_, "rows"), into(id_)),
      unreserve_picked_(session, sql.unreserve_picked, use(ids_, "ids")),
      free_(session, sql.free_jobs, use(ids_, "ids"), use(state_, "state")),
      hold_(session, sql.hold_jobs, use(ids_, "ids")) {}

void Limits::begin(Time now, LimitsUse& limits_use, const Clock& clock, bool untouched) {
  use_ = &limits_use;
  clock_ = &clock;
  at_ = now;
  looked_at_ = std::chrono::steady_clock::now();
  said_any_ = made_ = false;
  untouched_ = untouched;
  held_.clear();
  waiting_.clear();
  busy_.clear();
  keys_.clear();
  rates_of_.clear();
  admitted_.clear();
  places_.clear();
  freed_.clear();
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

bool Limits::any_available() { return may_be_available() && look(); }

bool Limits::look() {
  use_->next_look = looked_at_ + use_->poll;
  const std::uint64_t made = use_->used.made;
  any_.run();
  if (some_ask_ != 0 || made != use_->made) saw_some();
  use_->made = made;
  return said_any_ = some_ask_ != 0;
}

void Limits::saw_some() {
  constexpr int kPolls = 60;
  use_->looks_until = looked_at_ + kPolls * use_->poll;
}

void Limits::saw_none(std::uint64_t made) {
  use_->next_look = looked_at_ + use_->poll;
  if (made != use_->made) saw_some();
  use_->made = made;
}

void Limits::committed() {
  if (std::exchange(made_, false)) ++use_->used.made;
}

void Limits::know_ended(std::span<const JobId> ids) {
  const std::vector<JobId> others = use_->used.plain.take_others(ids);
  if (!others.empty()) know(others);
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

}  // namespace

std::string Limits::lane_of(const NewJob& job) {
  return LimitedLane{job.queue, job.kind, job.priority}.text();
}

void Limits::add(JobId id, const NewJob& job, State state, Time run_at, bool reserved) {
  const bool waits = job.rate && state == State::kPending;
  if (job.rate) {
    rates_.add(id, *job.rate, lane_of(job), waits, run_at);
    if (waits) touched_rates_.insert(job.rate->key);
  }
  if (!job.limit) return;
  if (state == State::kAvailable && !reserved) made_ = true;
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
    notes_.add("state", kAvailableLimited);
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
  }
  if (const auto known = keys_.find(row.id); known != keys_.end()) {
    touched_.insert(known->second);
    id_ = to_column(row.id);
    drop_.run();
    if (!job.limit) forget_place_.run();
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

void Limits::not_begun(const StoredRow& row) {
  const auto rate = rates_of_.find(row.id);
  if (rate == rates_of_.end() || !row.started) return;
  rates_.take_back({row.id, row.rule.fence}, rate->second, *row.started);
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

}  // namespace carrel::sql::server
