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
      any_statement_(session, statements::kAnyLimited, into(number_)),
      add_(session, statements::kAddLimited, use(id_, "job"), use(key_, "key"),
           use(limit_, "running"), use(state_.value, state_.indicator, "state"),
           use(queue_, "queue"), use(kind_, "kind"), use(priority_, "priority"),
           use(run_at_, "run_at")),
      find_(session, statements::kFindLimited, use(id_, "job"), into(key_), into(limit_)),
      find_available_(session, statements::kFindAvailableLimited, use(ids_, "ids"),
                      into(id_), into(key_), into(limit_)),
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
  any_ = number_ != 0;
}

void Limits::rollback() { touched_.clear(); }

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

void Limits::place(const NewJob& job, rules::Row& row) {
  if (row.state != State::kAvailable) return;
  const std::string& key = job.limit->key;
  if (running(key) + available(key, {job.queue, job.kind, job.priority}) >=
      job.limit->running) {
    rules::hold(row);
  }
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

}  // namespace

void Limits::add(JobId id, const NewJob& job, const rules::Row& row, long long run_at) {
  id_ = to_column(id);
  key_ = job.limit->key;
  limit_ = job.limit->running;
  state_.set(column(in_line(row.state)));
  queue_ = job.queue;
  kind_ = job.kind;
  priority_ = job.priority;
  run_at_ = run_at;
  add_.run();
  any_ = true;
}

void Limits::set_state(JobId id, std::optional<State> state, Time run_at) {
  id_ = to_column(id);
  state_.set(column(state));
  run_at_ = run_at.time_since_epoch().count();
  set_.run();
}

std::vector<JobId> Limits::admit(std::span<const JobId> ids) {
  struct Known {
    std::string key;
    long long limit;
  };
  std::unordered_map<JobId, Known> limited;
  ids_ = json_array(ids);
  find_available_.rows([&] { limited.emplace(to_id(id_), Known{key_, limit_}); });
  if (limited.empty()) return {ids.begin(), ids.end()};
  std::map<std::string, long long> running_now;
  std::vector<JobId> admitted;
  std::vector<JobId> refused;
  for (const JobId id : ids) {
    const auto found = limited.find(id);
    if (found == limited.end()) {
      admitted.push_back(id);
      continue;
    }
    const std::string& key = found->second.key;
    const auto known = running_now.find(key);
    long long& count = known != running_now.end()
                           ? known->second
                           : running_now.emplace(key, running(key)).first->second;
    if (count < found->second.limit) {
      ++count;
      admitted.push_back(id);
    } else {
      refused.push_back(id);
      touched_.insert(key);  // should one of the admitted not be claimed after all
    }
  }
  hold(refused);
  return admitted;
}

void Limits::hold(std::span<const JobId> ids) {
  for (auto& [id, row] : loader_.load(ids)) {
    if (!rules::hold(row.rule)) continue;
    saver_.save(row);
    set_state(id, State::kPending, row.run_at);
  }
}

void Limits::started(std::span<const Claimed> jobs) {
  std::vector<JobId> ids;
  ids.reserve(jobs.size());
  for (const Claimed& job : jobs) ids.push_back(job.lease.id);
  ids_ = json_array(ids);
  ids.clear();
  find_available_.rows([&] { ids.push_back(to_id(id_)); });
  for (const auto& [id, row] : loader_.load(ids)) {
    set_state(id, State::kRunning, row.run_at);
  }
}

void Limits::change(const StoredRow& row, const std::optional<Limit>& limit) {
  id_ = to_column(row.id);
  const bool had = find_.run();
  if (had) touched_.insert(key_);
  if (had && !limit) {
    ids_ = json_array({&row.id, 1});
    delete_.run();
    return;
  }
  if (!limit) return;
  key_ = limit->key;
  limit_ = limit->running;
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

void Limits::moving(StoredRow& row) {
  id_ = to_column(row.id);
  if (!find_.run()) return;
  const std::string key = key_;
  const long long limit = limit_;
  touched_.insert(key);
  set_state(row.id, std::nullopt, row.run_at);
  if (row.rule.state == State::kAvailable &&
      running(key) + available(key, {row.queue, row.kind, row.priority}) >= limit) {
    rules::hold(row.rule);
  }
  if (const auto state = in_line(row.rule.state)) set_state(row.id, state, row.run_at);
}

void Limits::finished(JobId id) {
  id_ = to_column(id);
  if (!find_.run()) return;
  touched_.insert(key_);
  set_state(id, std::nullopt, Time{});
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

void Limits::free_lane(const std::string& key, const Lane& lane, long long running,
                       std::vector<StoredRow>& freed) {
  constexpr int kAtOnce = 64;
  long long ahead = running + available(key, lane);
  for (bool more = true; more;) {
    std::vector<JobId> ids;
    most_ = kAtOnce;
    pending_.rows([&] {
      if (ahead < limit_) {
        ids.push_back(to_id(id_));
        ++ahead;
      }
    });
    more = ids.size() == kAtOnce;
    auto rows = loader_.load(ids);
    for (const JobId id : ids) {
      const auto found = rows.find(id);
      if (found == rows.end() || !rules::free(found->second.rule)) continue;
      saver_.save(found->second);
      set_state(id, State::kAvailable, found->second.run_at);
      freed.push_back(std::move(found->second));
    }
  }
}

std::vector<StoredRow> Limits::settle() {
  std::vector<StoredRow> freed;
  for (const std::string& key : touched_) {
    const long long now = running(key);
    for (const Lane& lane : lanes_with_pending(key)) free_lane(key, lane, now, freed);
  }
  touched_.clear();
  return freed;
}

}  // namespace carrel::sql::sqlite
