// The jobs of a SQLite store that share limits, by key: carrel_limits.
//
// A key's jobs stand in lanes of one queue, kind and priority each. In a lane only as
// many are available as could run, were they alone; those behind them are pending, out of
// the claim's way however many they are. What runs is counted over the rows, in the
// transaction that claims. Jobs without a limit have no row here and cost nothing; while
// nobody has one, each transaction asks that once.
//
// For the writer's thread, within its transaction. Throws soci::soci_error.
#pragma once

#include <carrel/job.h>

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "rows.h"
#include "statement.h"

namespace carrel::sql::sqlite {

class Limits {
 public:
  Limits(soci::session& session, RowLoader& loader, RowSaver& saver);

  void begin();     // of a transaction
  void rollback();  // of what its operations had to say
  bool any() const noexcept { return any_; }

  // Before a job with a limit is inserted: pending, where it cannot run.
  void place(const NewJob& job, rules::Row& row);
  // After: its row here.
  void add(JobId id, const NewJob& job, const rules::Row& row, long long run_at);

  // Which of these available jobs may be claimed. The others become pending.
  std::vector<JobId> admit(std::span<const JobId> ids);
  void started(std::span<const Claimed> jobs);

  // A job that waits is to be held to another limit, or none. Call moving() next.
  void change(const StoredRow& row, const std::optional<Limit>& limit);

  // Before a row is saved in another state: pending, where it cannot run.
  void moving(StoredRow& row);
  void finished(JobId id);  // likewise of one that is not loaded

  // At the end of an operation: those that it lets run. They are available from here on.
  std::vector<StoredRow> settle();

 private:
  struct Lane {
    std::string queue;
    std::string kind;
    int priority = 0;
  };
  long long running(const std::string& key);
  long long available(const std::string& key, const Lane& lane);
  void set_state(JobId id, std::optional<State> state, Time run_at);
  void hold(std::span<const JobId> ids);
  std::vector<Lane> lanes_with_pending(const std::string& key);
  void free_lane(const std::string& key, const Lane& lane, long long running,
                 std::vector<StoredRow>& freed);

  RowLoader& loader_;
  RowSaver& saver_;
  bool any_ = false;
  std::set<std::string> touched_;  // keys in which an operation may have made room

  long long id_ = 0;
  std::string ids_;
  std::string key_;
  long long limit_ = 0;
  Nullable state_;
  std::string queue_;
  std::string kind_;
  int priority_ = 0;
  long long run_at_ = 0;
  long long number_ = 0;
  long long most_ = 0;
  Statement any_statement_;
  Statement add_;
  Statement find_;
  Statement find_available_;
  Statement rename_;
  Statement delete_;
  Statement set_;
  Statement running_;
  Statement available_;
  Statement next_priority_;
  Statement next_kind_;
  Statement next_queue_;
  Statement pending_;
};

}  // namespace carrel::sql::sqlite
