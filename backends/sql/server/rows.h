// Rows of jobs and what hangs on them: read, and written back, a batch a statement.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/json_rows.h"
#include "server/statement.h"
#include "server/statements.h"
#include "stored_row.h"

namespace carrel::sql::server {

// Stored instead of State::kAvailable where the job has to ask for a limit or a rate.
inline constexpr int kAvailableLimited = 18;
// And inserted as, where its place in the limit is reserved: it is stored as available.
inline constexpr int kAvailableReserved = 34;
inline State to_state(int column) {
  return column == kAvailableLimited ? State::kAvailable : static_cast<State>(column);
}

// The statements below belong to one session, and are used within its transaction. They
// throw soci::soci_error.

class RowLocker {
 public:
  RowLocker(Session& session, const Statements& statements);
  // Those of `ids` that there are; nobody else changes them before the transaction ends.
  std::unordered_map<JobId, StoredRow> lock(std::span<const JobId> ids);
  // The jobs of these runs: those that are final, and those that run, or last ended,
  // under that fence. A job that is another's by now is not held for a run that is none;
  // where its row is locked, MariaDB waits for it all the same.
  std::unordered_map<JobId, StoredRow> lock_runs(std::span<const Lease> runs);
  // Of these, those that are not final, and that nobody else has locked.
  std::unordered_map<JobId, StoredRow> try_lock_runs(std::span<const Lease> runs);
  // Those that are not final, and that nobody else has locked.
  std::unordered_map<JobId, StoredRow> try_lock(std::span<const JobId> ids);
  // The same as lock(), of jobs that are likely to be final.
  std::unordered_map<JobId, StoredRow> lock_ended(std::span<const JobId> ids);
  // Those that are final, and that nobody else has locked.
  std::unordered_map<JobId, StoredRow> try_lock_ended(std::span<const JobId> ids);

 private:
  std::unordered_map<JobId, StoredRow> lock_in(std::initializer_list<Statement*> tables,
                                               std::span<const JobId> ids);
  void name_runs(std::span<const Lease> runs);
  // Of one parameter, into the variables below.
  Statement of_rows(Session& session, const char* text, std::string& parameter,
                    const char* name);
  StoredRow current() const;

  std::string ids_;
  std::string rows_;
  long long id_ = 0;
  int state_ = 0;
  std::string queue_;
  std::string kind_;
  int priority_ = 0;
  int cancel_requested_ = 0;
  int attempt_ = 0;
  int max_attempts_ = 0;
  int crashes_ = 0;
  long long fence_ = 0;
  long long finished_fence_ = 0;
  Nullable wake_at_;
  Nullable expires_at_;
  long long run_at_ = 0;
  Nullable started_at_;
  Nullable ended_at_;
  long long claim_number_ = 0;
  std::string worker_;
  Statement lock_jobs_;
  Statement try_jobs_;
  Statement lock_runs_;
  Statement try_runs_;
  Statement lock_history_;
  Statement try_history_;
  Session& session_;
  Statement lock_runs_now_;
  Statement lock_history_now_;
};

// Runs Steps with one parameter.
class Sequence {
 public:
  Sequence(Session& session, const Steps& steps, std::string& parameter,
           const char* name);
  void run();

 private:
  std::vector<Statement> statements_;
};

// Gathers rows that moved, and writes them together.
class RowSaver {
 public:
  RowSaver(Session& session, const Statements& statements);
  // All but what only a claim writes: fence, worker, claim_number, started_at. `before`:
  // the state it is stored in.
  void add(const StoredRow& row, State before, const std::string* result);
  void flush();
  void forget();

 private:
  JsonRows save_rows_;
  JsonRows to_history_rows_;
  JsonRows to_jobs_rows_;
  JsonRows keep_rows_;
  std::string rows_;
  Statement save_;
  Sequence to_history_;
  Sequence to_jobs_;
  Statement keep_;
};

class AttemptSaver {
 public:
  AttemptSaver(Session& session, const Statements& statements);
  // Keeps the last rules::kKeptAttempts.
  void add(const StoredRow& row, Fence fence, const Attempt& attempt, Time now);
  void flush(Time now);
  void forget();

 private:
  JsonRows adding_;
  std::vector<JobId> long_histories_;
  std::string rows_;
  long long now_ = 0;
  long long job_ = 0;
  int keep_;
  Statement add_;
  Statement trim_;
};

class NotesTable {
 public:
  NotesTable(Session& session, const Statements& statements);
  std::unordered_map<JobId, Notes> read(std::span<const JobId> ids);

  struct News {
    JobId job;
    const std::optional<Progress>& progress;
    const std::optional<std::string>& checkpoint;
    std::string_view log;
  };
  // Adds what is new to what there is, within the bounds. The jobs' rows are locked.
  void add(std::span<const News> news);

 private:
  std::string ids_;
  std::string rows_;
  long long job_ = 0;
  double fraction_ = 0;
  soci::indicator has_fraction_ = soci::i_null;
  std::string message_;
  std::string checkpoint_;
  std::string log_;
  Statement read_;
  Statement save_;
};

}  // namespace carrel::sql::server
