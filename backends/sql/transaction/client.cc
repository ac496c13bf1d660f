#include "transaction/client.h"

#include <dlfcn.h>
#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <stdexcept>
#include <string_view>

#include "mariadb/errors.h"

namespace carrel::sql::transaction {
namespace {

template <class Function>
Function* function(soci::session& session, const char* name) {
  const auto found = reinterpret_cast<Function*>(client_function(session, name));
  if (found == nullptr) {
    throw std::runtime_error(std::string("the client library of this session has no ") +
                             name);
  }
  return found;
}

template <class Native>
Native* native(soci::session& session) {
  return static_cast<Native*>(session.get_backend());
}

sqlite_api::sqlite3* sqlite(soci::session& session) {
  return native<soci::sqlite3_session_backend>(session)->conn_;
}

Result<void> not_open() {
  return fail(Code::kInvalid,
              "no transaction is open on this session: begin one, and commit it yourself",
              kOrigin);
}

Result<void> gone() {
  return fail(Code::kUnavailable, "the connection of this session is gone", kOrigin);
}

Result<void> check_postgresql(soci::session& session) {
  PGconn* connection = native<soci::postgresql_session_backend>(session)->conn_;
  if (connection == nullptr) {
    return fail(Code::kUnavailable, "this session has no connection", kOrigin);
  }
  switch (function<PGTransactionStatusType(const PGconn*)>(
      session, "PQtransactionStatus")(connection)) {
    case PQTRANS_INTRANS:
      return {};
    case PQTRANS_IDLE:
      return not_open();
    case PQTRANS_INERROR:
      return fail(Code::kInvalid,
                  "the transaction of this session has failed: roll it back", kOrigin);
    case PQTRANS_ACTIVE:
      return fail(Code::kInvalid, "this session is in the middle of another statement",
                  kOrigin);
    case PQTRANS_UNKNOWN:
      break;
  }
  return gone();
}

int set_verbosity(soci::session& session, int verbosity) noexcept {
  using Set = PGVerbosity(PGconn*, PGVerbosity);
  const auto set =
      reinterpret_cast<Set*>(client_function(session, "PQsetErrorVerbosity"));
  PGconn* const connection = native<soci::postgresql_session_backend>(session)->conn_;
  if (set == nullptr) return verbosity;
  return set(connection, static_cast<PGVerbosity>(verbosity));
}

}  // namespace

ErrorStates::ErrorStates(soci::session& session) noexcept
    : session_(session), before_(set_verbosity(session, PQERRORS_VERBOSE)) {}

ErrorStates::~ErrorStates() { set_verbosity(session_, before_); }

void* client_function(soci::session& session, const char* name) noexcept {
  // The code of the session's class lies in SOCI's part for that database, which was
  // linked to the client library, wherever both were loaded from.
  Dl_info info{};
  void* found = nullptr;
  const void* const code = *reinterpret_cast<void**>(session.get_backend());
  if (::dladdr(code, &info) != 0 && info.dli_fname != nullptr) {
    if (void* library = ::dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD)) {
      found = ::dlsym(library, name);
      ::dlclose(library);
    }
  }
  return found != nullptr ? found : ::dlsym(RTLD_DEFAULT, name);
}

Result<Backend> backend_of(soci::session& session) {
  if (session.get_backend() == nullptr) {
    return fail(Code::kInvalid, "this session is not open", kOrigin);
  }
  const std::string name = session.get_backend_name();
  if (name == "sqlite3") return Backend::kSqlite;
  if (name == "postgresql") return Backend::kPostgresql;
  if (name == "mysql") return Backend::kMysql;
  return fail(Code::kUnsupported,
              "a session of SOCI's backend \"" + name +
                  "\"; sqlite3, postgresql and mysql can carry jobs",
              kOrigin);
}

Result<void> check_open(soci::session& session, Backend backend) {
  if (session.get_backend()->failoverCallback_ != nullptr) {
    return fail(Code::kInvalid,
                "this session has a failover callback, which reconnects in the middle of "
                "a transaction and loses its first half: use one without",
                kOrigin);
  }
  try {
    switch (backend) {
      case Backend::kSqlite:
        return sqlite_in_transaction(session) ? Result<void>() : not_open();
      case Backend::kPostgresql:
        return check_postgresql(session);
      case Backend::kMysql:
        break;
    }
  } catch (const std::exception& e) {
    return fail(Code::kUnsupported, e.what(), kOrigin);
  }
  const MYSQL* connection = native<soci::mysql_session_backend>(session)->conn_;
  if (connection == nullptr) {
    return fail(Code::kUnavailable, "this session has no connection", kOrigin);
  }
  // As the server's last answer says, which a client that has lost it forgets.
  if ((connection->server_status & SERVER_STATUS_IN_TRANS) != 0) return {};
  return mariadb::ends_session(static_cast<int>(connection->net.last_errno)) ? gone()
                                                                             : not_open();
}

bool is_standby(soci::session& session) noexcept {
  using Status = const char*(const PGconn*, const char*);
  const auto status =
      reinterpret_cast<Status*>(client_function(session, "PQparameterStatus"));
  PGconn* const connection = native<soci::postgresql_session_backend>(session)->conn_;
  if (status == nullptr || connection == nullptr) return false;
  const char* const standby = status(connection, "in_hot_standby");
  return standby != nullptr && std::string_view(standby) == "on";
}

std::string sqlite_file(soci::session& session) {
  const char* name = function<const char*(sqlite_api::sqlite3*, const char*)>(
      session, "sqlite3_db_filename")(sqlite(session), "main");
  return name != nullptr ? name : "";
}

long long sqlite_last_row(soci::session& session) {
  return function<sqlite_api::sqlite3_int64(sqlite_api::sqlite3*)>(
      session, "sqlite3_last_insert_rowid")(sqlite(session));
}

int sqlite_error(soci::session& session) {
  return function<int(sqlite_api::sqlite3*)>(session,
                                             "sqlite3_extended_errcode")(sqlite(session));
}

bool sqlite_in_transaction(soci::session& session) {
  return function<int(sqlite_api::sqlite3*)>(
             session, "sqlite3_get_autocommit")(sqlite(session)) == 0;
}

}  // namespace carrel::sql::transaction
