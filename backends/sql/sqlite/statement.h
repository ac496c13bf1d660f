// One statement of a SQLite session, bound once to variables that it reads from and
// writes to at every run, and prepared when it first runs.
//
// Not thread-safe, like its session. The variables must stay where they are for as long
// as the statement lives: declare them before it, in the same object. Every call may
// throw soci::soci_error.
#pragma once

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "nullable.h"

// What runs on a host's session (transaction/) is also linked where SQLite's library is
// not.
namespace sqlite_api {
extern "C" int sqlite3_reset(sqlite3_stmt*) __attribute__((weak));
}

namespace carrel::sql::sqlite {

class Statement {
 public:
  // `exchange`: soci::use(variable, "name") and soci::into(variable), which borrow.
  //
  // Only scalars: SOCI 4.0.3 cuts what it reads into a vector from a column declared
  // INTEGER to 32 bits, and keeps a write lock after an UPDATE … RETURNING into vectors
  // that it fills to the last element.
  template <class... Exchange>
  Statement(soci::session& session, const char* text, const Exchange&... exchange)
      : text_(text), statement_(session) {
    (statement_.exchange(exchange), ...);
  }

  // Runs it, to its end: of a statement with rows, all but the first are skipped.
  // True: there was a row, and it is in the variables.
  bool run() {
    const bool row = ready().execute(true);
    if (row) reset();
    return row;
  }

  // Runs it and calls each() for every row, then ends it: a statement that is left in
  // the middle keeps its snapshot, and one that writes keeps the write lock.
  template <class Each>
  void rows(Each each) {
    const Reset at_end{this};
    for (bool row = ready().execute(true); row; row = statement_.fetch()) each();
  }

  // How many rows the last run of an INSERT, UPDATE or DELETE touched.
  long long affected() { return statement_.get_affected_rows(); }

 private:
  struct Reset {
    Statement* statement;
    ~Reset() { statement->reset(); }
  };

  soci::statement& ready() {
    if (ready_) return statement_;
    statement_.alloc();
    statement_.prepare(text_);
    statement_.define_and_bind();
    ready_ = true;
    return statement_;
  }

  // SOCI's own reset is not among the symbols that its library shows. It resets once
  // more before the next run. A statement on a host's session ends before its call does.
  void reset() {
    if (&sqlite_api::sqlite3_reset == nullptr || !ready_) return;
    sqlite_api::sqlite3_reset(
        static_cast<soci::sqlite3_statement_backend*>(statement_.get_backend())->stmt_);
  }

  const char* text_;
  bool ready_ = false;
  soci::statement statement_;
};

}  // namespace carrel::sql::sqlite
