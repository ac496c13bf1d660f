#include "server/limits.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "group_commit.h"

namespace carrel::sql::server {

using soci::into;
using soci::use;

Limits::Limits(Session& session, const Statements& sql)
    : any_(session, sql.any_limits, into(id_)),
      find_keys_(session, sql.limit_keys, use(ids_, "ids"), into(id_), into(key_)),
      lock_(session, sql.lock_slots, use(ids_, "ids"), into(slot_)),
      try_(session, sql.try_slots, use(ids_, "ids"), into(slot_)),
      now_(session, sql.limits_now, use(ids_, "ids"), into(id_), into(key_), into(limit_),
           into(running_)),
      count_(session, sql.count_line, use(rows_, "rows"), into(n_), into(running_),
             into(available_)),
      next_(session, sql.next_line, use(rows_, "rows"), into(n_), into(lane_)),
      pending_(session, sql.pending_of_line, use(key_, "limit_key"), use(lane_, "lane"),
               use(most_, "most"), into(id_), into(limit_)),
      add_(session, sql.add_limits, use(rows_, "rows")),
      set_(session, sql.set_limits, use(rows_, "rows")),
      drop_(session, sql.drop_limit, use(id_, "id")),
      free_(session, sql.free_jobs, use(ids_, "ids")),
      hold_(session, sql.hold_jobs, use(ids_, "ids")) {}

void Limits::begin(Time now, LimitsUse& limits_use) {
  use_ = &limits_use;
  at_ = now;
  untouched_ = true;
  held_.clear();
  busy_.clear();
  keys_.clear();
  touched_.clear();
  notes_.take();
}

bool Limits::any() {
  if (use_->used) return true;
  const Duration left = use_->next_look - at_;
  if (left > Duration::zero() && left <= use_->poll) return false;
  use_->next_look = at_ + use_->poll;
  if (any_.run()) use_->used = true;
  return use_->used;
}

void Limits::claimed_plain(std::span<const Claimed> jobs) {
  constexpr std::size_t kMany = 1U << 16;  // some are finished elsewhere
  if (use_->plain.size() > kMany) use_->plain.clear();
  for (const Claimed& job : jobs) use_->plain.insert(job.lease.id);
}

void Limits::know_ended(std::span<const JobId> ids) {
  std::vector<JobId> others;
  for (const JobId id : ids) {
    if (use_->plain.erase(id) == 0) others.push_back(id);
  }
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

std::unordered_map<JobId, std::string> Limits::keys_of(std::span<const JobId> ids) {
  std::unordered_map<JobId, std::string> keys;
  if (ids.empty()) return keys;
  ids_ = json_array(ids);
  find_keys_.rows([&] { keys.emplace(to_id(id_), key_); });
  return keys;
}

void Limits::know(std::span<const JobId> ids) {
  auto keys = keys_of(ids);
  std::set<int> slots;
  for (const auto& [id, key] : keys) slots.insert(slot_of(key));
  lock(std::move(slots));
  keys_.merge(keys);
}

bool Limits::try_know(std::span<const JobId> ids) {
  auto keys = keys_of(ids);
  std::set<int> slots;
  for (const auto& [id, key] : keys) slots.insert(slot_of(key));
  if (!try_lock(slots).empty()) return false;
  keys_.merge(keys);
  return true;
}

std::vector<Limits::Count> Limits::count(std::span<const Line> lines) {
  std::vector<Count> counts(lines.size());
  if (lines.empty()) return counts;
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

void Limits::lock_keys(const std::set<std::string>& keys) {
  std::set<int> slots;
  for (const std::string& key : keys) slots.insert(slot_of(key));
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
  notes_.row()
      .add("job", to_column(id))
      .add_text("limit_key", job.limit->key)
      .add_text("lane", lane_of(job))
      .add("run_at", run_at.time_since_epoch().count())
      .add("running", job.limit->running);
  if (const auto line = in_line(state)) notes_.add("state", static_cast<int>(*line));
  if (notes_.full()) write_added();
}

void Limits::write_added() {
  if (notes_.empty()) return;
  rows_ = notes_.take();
  add_.run();
  use_->used = true;
}

void Limits::note(JobId id, std::optional<State> state, std::optional<Time> run_at) {
  const auto known = keys_.find(id);
  if (known == keys_.end()) return;
  notes_.row().add("job", to_column(id));
  if (state) notes_.add("state", static_cast<int>(*state));
  if (run_at) notes_.add("run_at", run_at->time_since_epoch().count());
  if (state != State::kRunning) touched_.insert(known->second);
}

void Limits::change(const StoredRow& row, const std::optional<Limit>& limit) {
  write_notes();
  if (const auto known = keys_.find(row.id); known != keys_.end()) {
    touched_.insert(known->second);
    id_ = to_column(row.id);
    drop_.run();
    keys_.erase(known);
  }
  if (!limit) return;
  JsonRows rows;
  rows.row()
      .add("job", to_column(row.id))
      .add_text("limit_key", limit->key)
      .add_text("lane", LimitedLane{row.queue, row.kind, row.priority}.text())
      .add("run_at", row.run_at.time_since_epoch().count())
      .add("running", limit->running);
  rows_ = rows.take();
  add_.run();
  use_->used = true;
  keys_.emplace(row.id, limit->key);
}

void Limits::moved(const StoredRow& row) {
  note(row.id, in_line(row.rule.state), row.run_at);
}

void Limits::write_notes() {
  if (notes_.empty()) return;
  rows_ = notes_.take();
  set_.run();
}

Limits::Admission Limits::admit(std::span<const JobId> ids) {
  Admission answer;
  auto keys = keys_of(ids);
  std::set<int> slots;
  for (const auto& [id, key] : keys) slots.insert(slot_of(key));
  const std::set<int> busy = try_lock(slots);
  busy_.insert(busy.begin(), busy.end());
  std::vector<JobId> asked;
  for (const JobId id : ids) {
    const auto found = keys.find(id);
    if (found == keys.end()) continue;
    (busy.contains(slot_of(found->second)) ? answer.busy : asked).push_back(id);
  }
  if (asked.empty()) return answer;
  // As it is now that nobody else changes it.
  struct Now {
    std::string key;
    long long limit;
  };
  std::unordered_map<JobId, Now> available;
  std::unordered_map<std::string, long long> running;
  ids_ = json_array(asked);
  now_.rows([&] {
    available.emplace(to_id(id_), Now{key_, limit_});
    running.emplace(key_, running_);
  });
  std::vector<JobId> refused;
  for (const JobId id : asked) {
    const auto found = available.find(id);
    if (found == available.end()) continue;
    long long& count = running[found->second.key];
    if (count < found->second.limit) {
      ++count;
      answer.admitted.push_back(id);
    } else {
      refused.push_back(id);
    }
  }
  keys_.merge(keys);
  if (refused.empty()) return answer;
  ids_ = json_array(refused);
  hold_.run();
  // Touches their keys, too: should one of the admitted not be claimed after all.
  for (const JobId id : refused) note(id, State::kPending, std::nullopt);
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

void Limits::free(const Line& line, Count count, std::vector<Ticket>& freed) {
  constexpr int kAtOnce = 64;
  const LimitedLane lane = LimitedLane::of(line.lane);
  long long ahead = count.running + count.available;
  for (bool more = true; more;) {
    std::vector<JobId> ids;
    key_ = line.key;
    lane_ = line.lane;
    most_ = kAtOnce;
    pending_.rows([&] {
      if (ahead >= limit_) return;
      ids.push_back(to_id(id_));
      ++ahead;
    });
    if (ids.empty()) return;
    more = ids.size() == kAtOnce;
    ids_ = json_array(ids);
    free_.run();
    for (const JobId id : ids) {
      notes_.row()
          .add("job", to_column(id))
          .add("state", static_cast<int>(State::kAvailable));
      freed.push_back({id, lane.queue, lane.kind, lane.priority});
    }
    write_notes();
  }
}

std::vector<Ticket> Limits::settle() {
  std::vector<Ticket> freed;
  write_notes();
  if (touched_.empty()) return freed;
  const std::vector<Line> lines = waiting_lines();
  const std::vector<Count> counts = count(lines);
  for (std::size_t i = 0; i < lines.size(); ++i) free(lines[i], counts[i], freed);
  return freed;
}

}  // namespace carrel::sql::server
