#include "transaction/server_host.h"

#include <soci/mysql/soci-mysql.h>

#include <string>
#include <string_view>

#include "mariadb/errors.h"
#include "mariadb/statements.h"
#include "postgresql/errors.h"
#include "postgresql/statements.h"

namespace carrel::sql::transaction {
namespace {

// Not carrel_clock, which is right in a session that has UTC.
constexpr const char* kMariadbClock =
    "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";

constexpr std::string_view kChangedSince = "40001";

// The SQLSTATE that a message begins with, thanks to ErrorStates.
std::string_view state_in(std::string_view message) {
  constexpr std::size_t kState = 5;
  return message.find(": ") == kState ? message.substr(0, kState) : std::string_view();
}

Code code_of(soci::soci_error::error_category category) {
  switch (category) {
    case soci::soci_error::connection_error:
    case soci::soci_error::unknown_transaction_state:
    case soci::soci_error::system_error:
      return Code::kUnavailable;
    case soci::soci_error::no_privilege:
      return Code::kUnsupported;
    default:
      return Code::kInternal;
  }
}

}  // namespace

Result<const Kind*> kind_of(soci::session& session, Backend backend) {
  static const char* const kPostgresqlClock = "SELECT now_us FROM carrel_clock";
  static const Kind kPostgresql{"postgresql", kPostgresqlClock, postgresql::kStatements};
  static const Kind kPostgresqlSnapshot{"postgresql", kPostgresqlClock,
                                        postgresql::kSnapshotStatements};
  static const Kind kMariadb{"mariadb", kMariadbClock, mariadb::kStatements};
  static const Kind kMariadbSnapshot{"mariadb", kMariadbClock,
                                     mariadb::kSnapshotStatements};
  std::string level;
  if (backend == Backend::kPostgresql) {
    // Neither takes a snapshot.
    session << "SHOW transaction_isolation", soci::into(level);
    std::string encoding;
    session << "SHOW client_encoding", soci::into(encoding);
    if (encoding != "UTF8") {
      return fail(Code::kInvalid,
                  "the client_encoding of this session is " + encoding +
                      ", and names are UTF-8: SET client_encoding TO 'UTF8'",
                  kOrigin);
    }
    return level.starts_with("read ") ? &kPostgresql : &kPostgresqlSnapshot;
  }
  int open = 0;
  std::string client;
  std::string connection;
  session << "SELECT @@in_transaction, @@tx_isolation, @@character_set_client,"
             " @@character_set_connection",
      soci::into(open), soci::into(level), soci::into(client), soci::into(connection);
  // What check_open() knows is of the last statement without an error; a dead-lock, or a
  // CREATE TABLE that failed, have ended it. Without one each statement commits alone.
  if (open == 0) {
    return fail(Code::kInvalid,
                "the server has ended the transaction of this session, as a dead-lock or "
                "a statement that commits does: roll back, and begin it again",
                kOrigin);
  }
  for (const std::string& set : {client, connection}) {
    if (set == "utf8mb4") continue;  // utf8 has no character of four bytes
    return fail(Code::kInvalid,
                "the character set of this session is " + set +
                    ", and names are UTF-8: SET NAMES utf8mb4, or connect with "
                    "charset=utf8mb4",
                kOrigin);
  }
  // Its default is REPEATABLE READ. What is counted is to be committed.
  const bool fresh = level == "READ-COMMITTED";
  return fresh ? &kMariadb : &kMariadbSnapshot;
}

server::Failure failure_of(const char* origin) noexcept {
  const std::string place = "the host's session";
  server::Failure failure;
  failure.error.origin = origin;
  failure.error.message = place + ": ";
  try {
    throw;
  } catch (const soci::mysql_soci_error& e) {
    const auto code = static_cast<int>(e.err_num_);
    failure.error.native = code;
    failure.error.code =
        mariadb::ends_session(code) ? Code::kUnavailable : mariadb::code_of(code);
    failure.error.message += mariadb::essence(e.get_error_message());
  } catch (const soci::soci_error& e) {
    const std::string said(postgresql::essence(e.get_error_message()));
    const std::string_view state = state_in(said);
    failure.error.code =
        state.empty() ? code_of(e.get_error_category()) : postgresql::code_of(state);
    failure.error.message += said;
    if (state == kChangedSince) {
      failure.error.message +=
          ": this transaction's snapshot is too old, roll back, and try it again";
    }
  } catch (...) {
    failure = server::common_failure(place, origin);
  }
  return failure;
}

}  // namespace carrel::sql::transaction
