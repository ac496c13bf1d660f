#include "limits.h"

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
           use(reserved_, "reserved"), use(queue_, "queue"), use(kind_, "kind"),
           use(priority_, "priority"), use(run_at_, "run_at")),
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
           use(reserved_, "reserved"), use(run_at_, "run_at"), use(id_, "job")),
      look_(session, statements::kLookAtLine, use(queue_, "queue"), use(kind_, "kind"),
            use(priority_, "priority"), use(limit_, "running"), use(key_, "key"),
            into(number_), into(lanes_apart_), into(limits_apart_), into(some_ask_)),
      unreserve_(session, statements::kUnreserve, use(key_, "key")),
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
               use(kind_, "kind"), use(priority_, "priority"), use(ahead_, "ahead"),
               use(most_, "most"), into(id_), into(limit_)) {}

void Limits::begin() {
  seen_.reset();
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
  seen_.reset();
  touched_.clear();
  moved_.clear();
  touched_rates_.clear();
  waking_rates_.clear();
  due_rates_.clear();
}

Limits::Line Limits::look(const Known& limit, const Lane& lane) {
  key_ = limit.key;
  limit_ = limit.limit;
  queue_ = lane.queue;
  kind_ = lane.kind;
  priority_ = lane.priority;
  look_.run();
  return {number_, lanes_apart_ != 0, limits_apart_ != 0, some_ask_ != 0};
}

void Limits::unreserve(const std::string& key) {
  seen_.reset();
  key_ = key;
  unreserve_.run();
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

// The claim of one with a rate asks anyway.
Limits::Turn Limits::turn(const Known& limit, const Lane& lane, bool rated) {
  Line line = look(limit, lane);
  if (line.lanes_apart || line.limits_apart) {
    unreserve(limit.key);
    line = look(limit, lane);
  }
  if (line.some_ask || rated) {
    seen_.reset();
  } else {
    seen_ = {limit, lane, line.running};
  }
  const long long asking = line.some_ask ? available(limit.key, lane) : 0;
  if (line.running + asking >= limit.limit) return Turn::kWaitsForLimit;
  return rated || line.some_ask ? Turn::kAsks : Turn::kReserved;
}

// Of a job that is in no line yet.
Limits::Turn Limits::turn(const std::optional<Known>& limit,
                          const std::optional<Rate>& rate, const Lane& lane, Time at) {
  if (rate) {
    const std::string line = Rates::lane(lane.queue, lane.kind, lane.priority);
    if (rates_.others_wait(rate->key, line) || rates_.crowded(*rate, line, at)) {
      return Turn::kWaitsForWindow;
    }
  }
  return limit ? turn(*limit, lane, rate.has_value()) : Turn::kAsks;
}

namespace {

bool waits(Limits::Turn turn) {
  return turn == Limits::Turn::kWaitsForLimit || turn == Limits::Turn::kWaitsForWindow;
}

}  // namespace

Limits::Turn Limits::place(const NewJob& job, rules::Row& row, Time at) {
  if (row.state != State::kAvailable) return Turn::kAsks;  // when it is due
  std::optional<Known> limit;
  if (job.limit) limit = {job.limit->key, job.limit->running};
  const Lane lane{job.queue, job.kind, job.priority};
  Turn next;
  if (limit && !job.rate && seen_ && seen_->limit == *limit && seen_->lane == lane) {
    next = seen_->running < limit->limit ? Turn::kReserved : Turn::kWaitsForLimit;
  } else {
    next = turn(limit, job.rate, lane, at);
  }
  if (waits(next)) rules::hold(row);
  return next;
}

void Limits::add(JobId id, const NewJob& job, const rules::Row& row, Turn turn,
                 long long run_at, Time at) {
  if (job.limit) {
    id_ = to_column(id);
    key_ = job.limit->key;
    limit_ = job.limit->running;
    reserved_ = turn == Turn::kReserved ? 1 : 0;
    if (turn == Turn::kReserved) {
      state_.set(column(State::kRunning));
    } else {
      state_.set(turn == Turn::kWaitsForWindow ? std::nullopt
                                               : column(in_line(row.state)));
    }
    queue_ = job.queue;
    kind_ = job.kind;
    priority_ = job.priority;
    run_at_ = run_at;
    add_.run();
    any_ = true;
    if (seen_ && turn == Turn::kReserved) {
      ++seen_->running;
    } else if (turn != Turn::kWaitsForLimit) {
      seen_.reset();
    }
  }
  if (!job.rate) return;
  const bool window = turn == Turn::kWaitsForWindow;
  rates_.add(id, *job.rate, Rates::lane(job.queue, job.kind, job.priority),
             window ? Standing::kWaits : standing(row.state), run_at, at);
  if (window) waking_rates_.insert(job.rate->key);
  any_ = any_rate_ = true;
}

void Limits::set_state(JobId id, std::optional<State> state, Time run_at, bool reserved) {
  seen_.reset();
  id_ = to_column(id);
  state_.set(column(state));
  reserved_ = reserved ? 1 : 0;
  run_at_ = run_at.time_since_epoch().count();
  set_.run();
}

void Limits::reserve(JobId id, Time run_at) {
  set_state(id, State::kRunning, run_at, true);
}

void Limits::wait_for_window(JobId id, Time run_at) {
  set_state(id, std::nullopt, run_at);
  rates_.set(id, Standing::kWaits, run_at);
}

void Limits::wait_for_limit(JobId id, Time run_at) {
  set_state(id, State::kPending, run_at);
  if (any_rate_) rates_.set(id, std::nullopt, run_at);
}

void Limits::change(const StoredRow& row, const NewJob& job, Time at) {
  seen_.reset();
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
  reserved_ = 0;
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
  // Others of its key have moved: settle() asks all of them who is next.
  const bool others_moved = limit && !moved_.insert(limit->key).second;
  if (limit) {
    touched_.insert(limit->key);
    set_state(row.id, std::nullopt, row.run_at);
  }
  if (rate) {
    touched_rates_.insert(rate->key);
    rates_.set(row.id, std::nullopt, row.run_at);
  }
  const bool due = row.rule.state == State::kAvailable;
  Turn next =
      due ? turn(limit, rate, {row.queue, row.kind, row.priority}, at) : Turn::kAsks;
  if (due && others_moved && !waits(next)) next = Turn::kWaitsForLimit;
  if (waits(next)) rules::hold(row.rule);
  if (next == Turn::kWaitsForWindow) {
    wait_for_window(row.id, row.run_at);
    return;
  }
  if (next == Turn::kReserved) {
    reserve(row.id, row.run_at);
  } else if (const auto state = in_line(row.rule.state); limit && state) {
    set_state(row.id, state, row.run_at);
  }
  if (rate && !waits(next)) {
    rates_.set(row.id, standing(row.rule.state), row.run_at);
  }
}

void Limits::finished(JobId id) {
  const auto limit = find(id);
  if (!limit) return;
  touched_.insert(limit->key);
  moved_.insert(limit->key);
  set_state(id, std::nullopt, Time{});
}

}  // namespace carrel::sql::sqlite
