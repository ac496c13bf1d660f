// One statement of a server's session, bound once to variables that it reads from and
// writes to at every run, and prepared when it first runs.
//
// Not thread-safe, like its session. The variables must stay where they are for as long
// as the statement lives: declare them before it, in the same object. Every call may
// throw soci::soci_error, and waits for the server.
#pragma once

#include <soci/soci.h>

#include <cstddef>

#include "nullable.h"
#include "server/session.h"

namespace carrel::sql::server {

// An answer of the server is to be there before a call takes too long, and its text, two
// digits a byte, is in memory as a whole: what may be long is asked for so that an answer
// ends with the job that brings it to this many bytes.
inline constexpr std::size_t kMaxAnswerBytes = 8U << 20;

class Statement {
 public:
  // `exchange`: soci::use(variable, "name") and soci::into(variable), which borrow. Only
  // scalars: a vector is one round trip an element, or keeps its length where there are
  // no rows. `text` may be null where the dialect has no such statement.
  template <class... Exchange>
  Statement(Session& session, const char* text, const Exchange&... exchange)
      : session_(session), text_(text), statement_(session.soci()) {
    (statement_.exchange(exchange), ...);
  }

  explicit operator bool() const noexcept { return text_ != nullptr; }

  // Runs it. True: there was a row, and the first is in the variables.
  bool run() {
    const Session::Call call(session_);
    soci::statement& statement = ready();
    try {
      return statement.execute(true);
    } catch (...) {
      // SOCI 4.0.3 forgets its copies of what it sent only when that succeeded: the next
      // run would lose their memory, and send on PostgreSQL the old value for a null.
      statement.undefine_and_bind();
      throw;
    }
  }

  // Runs it and calls each() for every row.
  template <class Each>
  void rows(Each each) {
    bool row = run();  // all rows come at once: what follows does not wait
    for (; row; row = statement_.fetch()) each();
  }

 private:
  soci::statement& ready() {
    if (ready_) return statement_;
    statement_.alloc();
    try {
      statement_.prepare(text_, session_.prepares() ? soci::details::st_repeatable_query
                                                    : soci::details::st_one_time_query);
    } catch (...) {
      session_.forget_text(statement_);
      throw;
    }
    statement_.define_and_bind();
    ready_ = true;
    return statement_;
  }

  Session& session_;
  const char* text_;
  bool ready_ = false;
  soci::statement statement_;
};

}  // namespace carrel::sql::server
