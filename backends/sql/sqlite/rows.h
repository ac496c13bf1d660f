// Rows of carrel_jobs and what hangs on them: read, and written back.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "statement.h"
#include "stored_row.h"

namespace carrel::sql::sqlite {

// The statements below belong to one session, and are used as it is. They throw
// soci::soci_error.

class RowLoader {
 public:
  explicit RowLoader(soci::session& session);
  // Those of `ids` that there are.
  std::unordered_map<JobId, StoredRow> load(std::span<const JobId> ids);

 private:
  StoredRow current() const;

  std::string ids_;
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
  Statement statement_;
};

class RowSaver {
 public:
  explicit RowSaver(soci::session& session);
  // All but what only a claim writes: fence, worker, claim_number, started_at.
  void save(const StoredRow& row);
  void save_finished(const StoredRow& row, const std::string& result);

 private:
  void bind(const StoredRow& row);

  long long id_ = 0;
  int state_ = 0;
  int cancel_requested_ = 0;
  int attempt_ = 0;
  int max_attempts_ = 0;
  int crashes_ = 0;
  long long finished_fence_ = 0;
  Nullable wake_at_;
  Nullable expires_at_;
  long long run_at_ = 0;
  Nullable ended_at_;
  std::string result_;
  Statement save_;
  Statement save_finished_;
};

class AttemptSaver {
 public:
  explicit AttemptSaver(soci::session& session);
  // What the store knows of a run and the worker does not say.
  struct Run {
    Lease lease;
    const std::string& worker;
    std::optional<Time> started;
  };
  // Keeps the last rules::kKeptAttempts.
  void add(const Run& run, const Attempt& attempt, Time now);

 private:
  long long job_ = 0;
  long long fence_ = 0;
  int attempt_ = 0;
  int class_ = 0;
  std::string message_;
  int code_ = 0;
  int native_ = 0;
  int exit_code_ = 0;
  int signal_ = 0;
  long long wall_us_ = 0;
  long long cpu_us_ = 0;
  long long max_rss_ = 0;
  std::string stderr_tail_;
  std::string ending_;
  std::string worker_;
  Nullable started_at_;
  long long ended_at_ = 0;
  int keep_;
  Statement add_;
  Statement add_success_;
  Statement trim_;
};

class NotesTable {
 public:
  explicit NotesTable(soci::session& session);
  std::optional<Notes> read(JobId job);
  // Adds what is new to what there is, within the bounds; nothing new: does nothing.
  void add(JobId job, const std::optional<Progress>& progress,
           const std::optional<std::string>& checkpoint, std::string_view log);

 private:
  long long job_ = 0;
  double fraction_ = 0;
  soci::indicator has_fraction_ = soci::i_null;
  std::string message_;
  std::string checkpoint_;
  std::string log_;
  Statement read_;
  Statement save_;
};

}  // namespace carrel::sql::sqlite
