// What every dialect keeps of a job's row beside the rules, and how it is written down.
#pragma once

#include <carrel/job.h>
#include <carrel/rules.h>

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace carrel::sql {

// A row of a job as the rules of carrel/rules.h see it, and what moves with it.
struct StoredRow {
  JobId id{};
  rules::Row rule;
  std::string queue;
  std::string kind;
  std::int16_t priority = 0;
  Time run_at{};
  std::optional<Time> started;
  std::optional<Time> ended;

  Ticket ticket() const { return {id, queue, kind, priority}; }
};

using StoredRows = std::unordered_map<JobId, StoredRow>;

// Of these jobs, each once, those that could begin `at`, were there room: what cannot
// takes no place of its key or queue from another. `paused`: queues.
std::vector<JobId> startable(std::span<const JobId> ids, const StoredRows& rows,
                             std::span<const std::string> paused, Time at);

// Instants are microseconds since 1970 UTC; kNever is NULL in columns that may say
// "never".
inline std::optional<long long> to_column(Time t) {
  if (t == kNever) return std::nullopt;
  return t.time_since_epoch().count();
}
inline Time to_time(long long column) { return Time(Duration(column)); }
inline Time to_time(std::optional<long long> column) {
  return column ? to_time(*column) : kNever;
}
inline std::optional<Time> to_optional_time(std::optional<long long> column) {
  return column ? std::optional(to_time(*column)) : std::nullopt;
}
inline long long to_column(JobId id) { return static_cast<long long>(value(id)); }
inline long long to_column(Fence f) { return static_cast<long long>(value(f)); }
inline JobId to_id(long long column) { return JobId{static_cast<std::uint64_t>(column)}; }
inline Fence to_fence(long long column) {
  return Fence{static_cast<std::uint64_t>(column)};
}

// wake_at: what must be found by state has one also where it is never due.
inline std::optional<long long> wake_column(const rules::Row& row) {
  if (row.wake_at == kNever && row.state == State::kAvailable) return std::nullopt;
  return row.wake_at.time_since_epoch().count();
}

// When a lease that begins at `at` ends, as the rules say it.
Time end_of_lease(Duration lease, Time at);

// How an attempt ended beside its class, as one column: JSON of what there is to say,
// empty where that is nothing. What cannot be read, of a later version, says nothing.
std::string ending_column(const Attempt& attempt);
void read_ending(std::string_view column, Attempt& attempt);

// An attempt of which there is nothing more to say than when it was and how long it took.
bool is_plain(const Attempt& attempt);

// The end of a run that has completed its job already, in a transaction of its handler's
// (carrel/sql_transaction.h). What is left to do is what only this store knows: its
// waiters, and how long the row is kept.
inline bool is_confirmed_by(const Finished& answer, const Finish& run) {
  return answer.kind == Finished::Kind::kAlready && answer.state == State::kCompleted &&
         run.verdict != Verdict::kCompleted;
}
// Until when a job that is completed at `at` is kept.
Time kept_until(const Retention& keep, Time at);

// "[1,2,3]": a list of ids is one parameter of a statement.
std::string json_array(std::span<const JobId> ids);

// Progress, checkpoint and log of a job.
struct Notes {
  std::optional<Progress> progress;
  std::string checkpoint;
  std::string log;
};
// Adds what is new to what there is, within the bounds of check.h; false: nothing is new.
bool add_news(Notes& notes, const std::optional<Progress>& progress,
              const std::optional<std::string>& checkpoint, std::string_view log);
inline bool is_news(const std::optional<Progress>& progress,
                    const std::optional<std::string>& checkpoint, std::string_view log) {
  return progress || checkpoint || !log.empty();
}

}  // namespace carrel::sql
