// One prepared statement of a SQLite session, bound once to variables that it reads from
// and writes to at every run.
//
// Not thread-safe, like its session. The variables must stay where they are for as long
// as the statement lives: declare them before it, in the same object. Every call may
// throw soci::soci_error.
#pragma once

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <utility>

#include "nullable.h"

namespace carrel::sql::sqlite {

class Statement {
 public:
  // `exchange`: soci::use(variable, "name") and soci::into(variable), which borrow.
  //
  // Only scalars: SOCI 4.0.3 cuts what it reads into a vector from a column declared
  // INTEGER to 32 bits, and keeps a write lock after an UPDATE … RETURNING into vectors
  // that it fills to the last element.
  template <class... Exchange>
  Statement(soci::session& session, const char* text, Exchange&&... exchange)
      : statement_(prepare(session, text, std::forward<Exchange>(exchange)...)) {}

  // Runs it, to its end: of a statement with rows, all but the first are skipped.
  // True: there was a row, and it is in the variables.
  bool run() {
    const bool row = statement_.execute(true);
    if (row) reset();
    return row;
  }

  // Runs it and calls each() for every row, then ends it: a statement that is left in
  // the middle keeps its snapshot, and one that writes keeps the write lock.
  template <class Each>
  void rows(Each each) {
    const Reset at_end{this};
    for (bool row = statement_.execute(true); row; row = statement_.fetch()) each();
  }

  // How many rows the last run of an INSERT, UPDATE or DELETE touched.
  long long affected() { return statement_.get_affected_rows(); }

 private:
  struct Reset {
    Statement* statement;
    ~Reset() { statement->reset(); }
  };

  template <class... Exchange>
  static soci::details::prepare_temp_type prepare(soci::session& session,
                                                  const char* text,
                                                  Exchange&&... exchange) {
    soci::details::prepare_temp_type prepared = session.prepare << text;
    if constexpr (sizeof...(exchange) > 0) {
      (prepared, ..., std::forward<Exchange>(exchange));
    }
    return prepared;
  }

  // SOCI's own reset is not among the symbols that its library shows. It resets once
  // more before the next run.
  void reset() {
    sqlite_api::sqlite3_reset(
        static_cast<soci::sqlite3_statement_backend*>(statement_.get_backend())->stmt_);
  }

  soci::statement statement_;
};

}  // namespace carrel::sql::sqlite
