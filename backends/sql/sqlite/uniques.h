// The unique keys of a SQLite store: carrel_unique.
//
// Nothing but an enqueue and a purge looks at them, so that jobs without one cost
// nothing. That a key has one holder is the table's primary key, and that nobody else
// looks meanwhile is the transaction that writes.
//
// For the writer's thread, within its transaction. Throws soci::soci_error.
#pragma once

#include <carrel/job.h>

#include <cstddef>
#include <optional>
#include <string>

#include "statement.h"
#include "stored_row.h"

namespace carrel::sql::sqlite {

class Uniques {
 public:
  explicit Uniques(soci::session& session);

  struct Holder {
    JobId job{};
    State state{};
    bool gone = false;  // purged, and its period is not over
  };
  // The job that an enqueue of `unique` meets; nothing: none.
  std::optional<Holder> meet(const Unique& unique, Time now);
  void hold(const Unique& unique, JobId job, Time now);
  // Before these final jobs, "[1,2]", are deleted.
  void purging(const std::string& ids, Time now);
  // Forgets keys that were left behind and whose period is over.
  void forget(Time now, std::size_t most);
  Time next();  // when there is one to forget, or kNever

 private:
  std::string key_;
  std::string ids_;
  long long job_ = 0;
  long long enqueued_at_ = 0;
  long long until_ = 0;
  long long now_ = 0;
  long long most_ = 0;
  int state_ = 0;
  soci::indicator has_state_ = soci::i_ok;
  int gone_ = 0;
  Statement find_;
  Statement hold_;
  Statement leave_;
  Statement delete_;
  Statement forget_;
  Statement next_;
};

}  // namespace carrel::sql::sqlite
