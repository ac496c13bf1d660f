// One connection to a SQLite file, set up the way the store needs it.
#pragma once

#include <carrel/result.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <memory>
#include <string>

#include "url.h"

namespace carrel::sql::sqlite {

// Whether a file can be at `path`. SQLite says "unable to open database file" to all that
// this tells apart.
Result<void> check_place(const std::string& path);

// Used by one thread at a time. Nothing of it may be touched, or destroyed, in the child
// of a fork: SQLite's locks belong to the process.
class Session {
 public:
  enum class Role : std::uint8_t {
    kWriter,  // makes the file if it is not there
    kReader,  // cannot write
  };

  // Errors name the file. Does not write but for WAL mode, which the writer turns on:
  // hold the gate.
  static Result<std::unique_ptr<Session>> open(const Settings& settings, Role role);

  soci::session& soci() { return session_; }
  sqlite_api::sqlite3* native() {
    return static_cast<soci::sqlite3_session_backend*>(session_.get_backend())->conn_;
  }

  // Runs one or more statements without parameters or rows. Throws soci::soci_error.
  void execute(const char* sql);
  // Its close leaves the log as it is, where it would have been the last to close the
  // file and copied the log into it.
  void keep_log();
  // True between a BEGIN and its COMMIT or ROLLBACK. SQLite rolls back by itself after
  // some errors.
  bool in_transaction() { return sqlite_api::sqlite3_get_autocommit(native()) == 0; }

 private:
  explicit Session(const std::string& connect) : session_(soci::sqlite3, connect) {}
  void set_up(const Settings& settings, Role role);

  soci::session session_;
};

}  // namespace carrel::sql::sqlite
