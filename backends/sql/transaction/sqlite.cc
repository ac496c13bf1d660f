#include "sqlite/error.h"
#include "sqlite/schema_version.h"
#include "sqlite/statements.h"
#include "sqlite/writer.h"
#include "transaction/within.h"

namespace carrel::sql::transaction {
namespace {

class LentPlace final : public sqlite::Place {
 public:
  explicit LentPlace(soci::session& session)
      : session_(session), path_(sqlite_file(session)) {}

  const std::string& path() const { return path_; }
  soci::session& soci() override { return session_; }
  bool in_transaction() override { return sqlite_in_transaction(session_); }
  long long last_row() override { return sqlite_last_row(session_); }
  Error current_error() noexcept override {
    try {
      throw;
    } catch (const soci::soci_error& e) {
      return error_of(sqlite_error(session_), e.get_error_message());
    } catch (const sqlite::SchemaTooNew& e) {
      return sqlite::error_of(path_, e);
    } catch (const std::exception& e) {
      return {Code::kInternal, path_ + ": " + e.what(), "sqlite", 0, Duration{0}};
    } catch (...) {
      return {Code::kInternal, path_ + ": unknown exception", "sqlite", 0, Duration{0}};
    }
  }
  const Frame& frame() const noexcept override {
    static const Frame kFrame{"SAVEPOINT carrel_call", "RELEASE carrel_call",
                              "ROLLBACK TO carrel_call"};
    return kFrame;
  }

 private:
  Error error_of(int code, const std::string& message) const {
    Error error = sqlite::error_of(path_, code, message);
    if (code == SQLITE_READONLY) {
      error.code = Code::kInvalid;  // it was the host who opened it
      error.message += ": this session only reads, open one that may write";
    }
    return error;
  }

  soci::session& session_;
  const std::string path_;
};

class JoinedSqlite final : public JoinedBy<sqlite::Writer> {
 public:
  JoinedSqlite(soci::session& session, const Retention& retention)
      : place_(session),
        waiters_([] {}),
        writer_(settings(place_.path()), options(retention), waiters_, nullptr, place_) {}

  std::uint64_t max_payload() const noexcept override { return sqlite::kMaxPayload; }

 private:
  static sqlite::Settings settings(const std::string& path) {
    sqlite::Settings settings;
    settings.path = path;
    return settings;
  }
  static BackendOptions options(const Retention& retention) {
    BackendOptions options;
    options.retention = retention;
    options.clock = &system_clock();  // as the stores of the file
    return options;
  }
  sqlite::Writer& writer() override { return writer_; }

  LentPlace place_;
  Waiters waiters_;  // nobody does
  sqlite::Writer writer_;
};

}  // namespace

std::unique_ptr<Joined> join_sqlite(soci::session& session, const Retention& retention) {
  return std::make_unique<JoinedSqlite>(session, retention);
}

}  // namespace carrel::sql::transaction
