// What leaves the tables: final jobs that are kept no longer, and what they left behind.
#include <algorithm>
#include <unordered_map>

#include "server/writer_tables.h"

namespace carrel::sql::server {

// A host's transaction holds the names that it has asked for, and thereby those of final
// jobs, for as long as it likes. What it holds is left for later; a little later, as
// everybody would look again at once.
Writer::Cleared Writer::clear(std::size_t max) {
  constexpr Duration kLater = std::chrono::seconds(1);
  auto& t = *tables_;
  Cleared cleared;
  t.limits.locked_something();
  FinalRows rows = due_and_free_ended(std::min(max, kRowsAStatement));
  const std::vector<JobId> held = take_held(rows);
  if (!held.empty()) {
    JsonRows later;
    for (const JobId id : held) {
      later.row().add("id", to_column(id)).add("wake_at", t.now + kLater.count());
    }
    t.rows = later.take();
    t.keep_history.run();
  }
  cleared.purged = purge(rows);
  const std::size_t left = max - std::min(max, cleared.purged);
  cleared.purged += trim(std::min(left, kRowsAStatement));
  t.most = kRowsAStatement;
  t.forget_keys.run();
  constexpr std::size_t kMany = 100;
  if (tallied_ > kMany) fold_tally();
  t.next_wake.run();
  if (const auto next = t.wake_at.get(); next && to_time(*next) != kNever) {
    cleared.next = std::max(to_time(*next) - now_, Duration::zero());
  }
  return cleared;
}

// PostgreSQL finds none that is held, and looks once.
Writer::FinalRows Writer::due_and_free_ended(std::size_t most) {
  auto& t = *tables_;
  FinalRows free;
  look_for_due(t.due_history, most, [&](const std::vector<JobId>& due) {
    FinalRows rows = t.rows_of.try_lock_ended(due);
    for (const JobId id : due) {
      const auto row = rows.find(id);
      if (row == rows.end() || free.size() == most) continue;
      // What was retried meanwhile, and has ended anew, is not due.
      if (row->second.rule.wake_at <= now_) free.insert(rows.extract(row));
    }
    return free.size() == most;
  });
  return free;
}

// Takes those out of `rows` of which somebody holds a name; locks the names of the
// others.
std::vector<JobId> Writer::take_held(FinalRows& rows) {
  std::vector<JobId> held;
  if (rows.empty()) return held;
  auto& t = *tables_;
  std::vector<JobId> ids;
  ids.reserve(rows.size());
  for (const auto& [id, row] : rows) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  // In this order: a name that goes elsewhere in between is taken for held. None comes.
  std::unordered_map<JobId, int> missing;
  t.ids = json_array(ids);
  t.names.rows([&] { ++missing[to_id(t.id)]; });
  if (missing.empty()) return held;
  t.try_names.rows([&] { --missing[to_id(t.id)]; });
  for (const auto& [id, names] : missing) {
    if (names <= 0) continue;
    held.push_back(id);
    rows.erase(id);
  }
  return held;
}

std::size_t Writer::purge(const FinalRows& rows) {
  if (rows.empty()) return 0;
  auto& t = *tables_;
  std::vector<JobId> gone;
  std::vector<std::pair<JobId, State>> leaving;
  for (const auto& [id, row] : rows) {
    --tally_[{row.queue, row.rule.state}];
    gone.push_back(id);
    leaving.emplace_back(id, row.rule.state);
    ended_.push_back(id);
  }
  leave_keys(leaving);
  std::sort(gone.begin(), gone.end());
  t.ids = json_array(gone);
  t.purge.run();
  return gone.size();
}

void Writer::leave_keys(std::span<const std::pair<JobId, State>> jobs) {
  if (jobs.empty()) return;
  auto& t = *tables_;
  JsonRows rows;
  for (const auto& [id, state] : jobs) {
    rows.row()
        .add("id", to_column(id))
        .add("state", static_cast<int>(state))
        .add("now", t.now);
  }
  t.rows = rows.take();
  t.leave_keys.run();
}

std::size_t Writer::trim(std::size_t most) {
  auto& t = *tables_;
  if (options_.retention.max_rows == 0 || most == 0) return 0;
  t.final_rows.run();
  long long rows = t.number;
  for (const auto& [key, change] : tally_) rows += change;
  const auto kept = static_cast<long long>(options_.retention.max_rows);
  if (rows <= kept) return 0;
  const auto excess = static_cast<std::size_t>(rows - kept);
  // Each state's rows come oldest first; the oldest of all are among the oldest of each.
  std::vector<std::pair<long long, JobId>> oldest;
  t.most = static_cast<long long>(std::min(excess, most));
  for (const State state : {State::kCompleted, State::kCancelled, State::kDiscarded}) {
    t.state = static_cast<int>(state);
    t.oldest.rows([&] { oldest.emplace_back(t.wake_at.value, to_id(t.id)); });
  }
  std::sort(oldest.begin(), oldest.end());
  oldest.resize(std::min({oldest.size(), excess, most}));
  std::vector<JobId> ids;
  ids.reserve(oldest.size());
  for (const auto& [ended, id] : oldest) ids.push_back(id);
  // Those that others hold are not made up for by newer ones: they may be about to go.
  FinalRows found = t.rows_of.try_lock_ended(ids);
  for (const auto& [ended, id] : oldest) {
    const auto row = found.find(id);
    if (row != found.end() && row->second.ended != to_time(ended)) found.erase(row);
  }
  take_held(found);
  return purge(found);
}

// Every transaction that ends jobs adds rows of its own to the tally: none waits for
// another. Here they become one a queue and state.
void Writer::fold_tally() {
  auto& t = *tables_;
  std::vector<JobId> ids;
  std::map<std::pair<std::string, State>, long long> sums;
  t.read_tally.rows([&] {
    ids.push_back(to_id(t.id));
    sums[{t.queue, static_cast<State>(t.state)}] += t.number;
  });
  tallied_ = 0;
  if (ids.size() <= sums.size()) return;
  t.ids = json_array(ids);
  t.delete_tally.run();
  for (const auto& [key, jobs] : sums) tally_[key] += jobs;
}

}  // namespace carrel::sql::server
