#include "transaction/server_host.h"

#include <mysqld_error.h>
#include <soci/mysql/soci-mysql.h>

#include <string>
#include <string_view>

#include "mariadb/errors.h"
#include "mariadb/packet.h"
#include "mariadb/statements.h"
#include "postgresql/errors.h"
#include "postgresql/statements.h"

namespace carrel::sql::transaction {
namespace {

// Not carrel_clock, which is right in a session that has UTC.
constexpr const char* kMariadbClock =
    "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))";

constexpr std::string_view kChangedSince = "40001";
constexpr std::string_view kReadOnly = "25006";

// The SQLSTATE that a message begins with, thanks to ErrorStates.
std::string_view state_in(std::string_view message) {
  constexpr std::size_t kState = 5;
  return message.find(": ") == kState ? message.substr(0, kState) : std::string_view();
}

// The server's last word may be none at all.
Code code_without_state(soci::session& session, const soci::soci_error& error) {
  const auto open = check_open(session, Backend::kPostgresql);
  if (!open && open.error().code == Code::kUnavailable) return Code::kUnavailable;
  switch (error.get_error_category()) {
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

// The host has begun it so, and would each time.
void say_it_only_reads(Error& error) {
  error.code = Code::kInvalid;
  error.message += ": this transaction only reads, begin one that may write";
}

// What MariaDB's server says of a session.
struct Said {
  int in_transaction = 0;
  std::string isolation;
  std::string client_set;
  std::string connection_set;
  int sends_all = 0;
  int forbids_scans = 0;
  long long packet = 0;
};

Said ask_mariadb(soci::session& session) {
  Said said;
  // Its own LIMIT, as sql_select_limit would count for this, too.
  session << "SELECT @@in_transaction, @@tx_isolation, @@character_set_client,"
             " @@character_set_connection,"
             " @@sql_select_limit = 18446744073709551615, @@sql_safe_updates,"
             " CAST(@@max_allowed_packet AS SIGNED) LIMIT 1",
      soci::into(said.in_transaction), soci::into(said.isolation),
      soci::into(said.client_set), soci::into(said.connection_set),
      soci::into(said.sends_all), soci::into(said.forbids_scans), soci::into(said.packet);
  return said;
}

Result<void> check_mariadb(const Said& said) {
  const auto refuse = [](const std::string& why) {
    return fail(Code::kInvalid, why, kOrigin);
  };
  // What check_open() knows is of the last statement without an error; a dead-lock, or a
  // CREATE TABLE that failed, have ended it. Without one each statement commits alone.
  if (said.in_transaction == 0) {
    return refuse(
        "the server has ended the transaction of this session, as a dead-lock or a "
        "statement that commits does: roll back, and begin it again");
  }
  for (const std::string& set : {said.client_set, said.connection_set}) {
    if (set == "utf8mb4") continue;  // utf8 has no character of four bytes
    return refuse("the character set of this session is " + set +
                  ", and names are UTF-8: SET NAMES utf8mb4, or connect with "
                  "charset=utf8mb4");
  }
  // Who holds a key would be found for the first jobs of a batch, and not for the others.
  if (said.sends_all == 0) {
    return refuse(
        "the sql_select_limit of this session hides rows: SET sql_select_limit = "
        "DEFAULT");
  }
  // It takes a join with a list of ids for a scan of the table.
  if (said.forbids_scans != 0) {
    return refuse(
        "the sql_safe_updates of this session forbids what is written here: SET "
        "sql_safe_updates = 0");
  }
  return {};
}

}  // namespace

Result<Kind> kind_of(soci::session& session, Backend backend) {
  if (backend == Backend::kPostgresql) {
    // Neither takes a snapshot.
    std::string level;
    session << "SHOW transaction_isolation", soci::into(level);
    std::string encoding;
    session << "SHOW client_encoding", soci::into(encoding);
    if (encoding != "UTF8") {
      return fail(Code::kInvalid,
                  "the client_encoding of this session is " + encoding +
                      ", and names are UTF-8: SET client_encoding TO 'UTF8'",
                  kOrigin);
    }
    const bool fresh = level.starts_with("read ");
    return Kind{"postgresql", "SELECT now_us FROM carrel_clock",
                fresh ? postgresql::kStatements : postgresql::kSnapshotStatements,
                64U << 20};
  }
  const Said said = ask_mariadb(session);
  if (auto ok = check_mariadb(said); !ok) return tl::unexpected(std::move(ok.error()));
  // Its default is REPEATABLE READ. What is counted is to be committed.
  const bool fresh = said.isolation == "READ-COMMITTED";
  return Kind{"mariadb", kMariadbClock,
              fresh ? mariadb::kStatements : mariadb::kSnapshotStatements,
              mariadb::longest_payload(static_cast<std::uint64_t>(said.packet))};
}

server::Failure failure_of(soci::session& session, const char* origin) noexcept {
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
    // What the host writes now would be committed at once.
    if (code == ER_LOCK_DEADLOCK) {
      failure.error.message +=
          ": the server has ended this transaction, roll back, and begin it again";
    }
    if (code == ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION) {
      say_it_only_reads(failure.error);
    }
  } catch (const soci::soci_error& e) {
    const std::string said(postgresql::essence(e.get_error_message()));
    const std::string_view state = state_in(said);
    failure.error.code =
        state.empty() ? code_without_state(session, e) : postgresql::code_of(state);
    failure.error.message += said;
    if (state == kChangedSince) {
      failure.error.message +=
          ": this transaction's snapshot is too old, roll back, and try it again";
    }
    // A standby refuses each write until it is promoted, or the host led to its primary.
    if (state == kReadOnly && !is_standby(session)) say_it_only_reads(failure.error);
  } catch (...) {
    failure = server::common_failure(place, origin);
  }
  return failure;
}

}  // namespace carrel::sql::transaction
