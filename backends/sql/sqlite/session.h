// One connection to a SQLite file, set up the way the store needs it.
#pragma once

#include <carrel/result.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <memory>
#include <optional>
#include <string>

#include "file_identity.h"
#include "log_index.h"
#include "url.h"

namespace carrel::sql::sqlite {

// Whether a file can be at `path`. SQLite says "unable to open database file" to all that
// this tells apart.
Result<void> check_place(const std::string& path);

// What the writer's statements run on: a session of the store's own, or one that a host
// has lent with its transaction open.
class Place {
 public:
  virtual ~Place() = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  virtual soci::session& soci() = 0;
  sqlite_api::sqlite3* native() {
    return static_cast<soci::sqlite3_session_backend*>(soci().get_backend())->conn_;
  }
  // True between a BEGIN and its COMMIT or ROLLBACK. SQLite rolls back by itself after
  // some errors.
  virtual bool in_transaction() = 0;
  virtual long long last_row() = 0;            // the id of the row that was inserted last
  virtual Error current_error() noexcept = 0;  // of the exception being handled
  // False: nothing was committed to its file since the call before, by whoever.
  virtual bool may_have_changed() noexcept { return true; }

  // Of its file: see FileIdentity. Any thread may ask.
  virtual Result<void> check_file() const { return {}; }

  // How all that is done to rows begins and ends.
  struct Frame {
    const char* begin;
    const char* commit;
    const char* rollback;
  };
  virtual const Frame& frame() const noexcept = 0;

 protected:
  Place() = default;
};

// Used by one thread at a time. Nothing of it may be touched, or destroyed, in the child
// of a fork: SQLite's locks belong to the process.
class Session final : public Place {
 public:
  enum class Role : std::uint8_t {
    kWriter,  // makes the file if it is not there
    kReader,  // cannot write
  };

  // Errors name the file. Does not write but for WAL mode, which the writer turns on:
  // hold the gate.
  static Result<std::unique_ptr<Session>> open(const Settings& settings, Role role);

  soci::session& soci() override { return session_; }
  bool in_transaction() override;
  long long last_row() override;
  Error current_error() noexcept override;
  bool may_have_changed() noexcept override { return log_index_.changed(native()); }
  Result<void> check_file() const override {
    return file_ ? file_->check() : Result<void>();
  }
  const Frame& frame() const noexcept override;

  // Runs one or more statements without parameters or rows. Throws soci::soci_error.
  void execute(const char* sql);
  // Its close leaves the log as it is, where it would have been the last to close the
  // file and copied the log into it.
  void keep_log();

 private:
  explicit Session(const Settings& settings);
  void set_up(const Settings& settings, Role role);

  const std::string path_;
  soci::session session_;
  LogIndex log_index_;
  std::optional<FileIdentity> file_;  // of a writer
};

}  // namespace carrel::sql::sqlite
