#include "mariadb/driver.h"

#include <mysqld_error.h>

#include <algorithm>

#include "mariadb/statements.h"
#include "server/migrate.h"

namespace carrel::sql::mariadb {
namespace {

constexpr int kCheckRead = 1020;  // a row has changed since it was read

bool ends_session(int code) {
  switch (code) {
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_COMMANDS_OUT_OF_SYNC:
    case ER_SERVER_SHUTDOWN:
    case ER_CONNECTION_KILLED:
    case ER_NEW_ABORTING_CONNECTION:
    case ER_NET_PACKET_TOO_LARGE:
    case ER_OPTION_PREVENTS_STATEMENT:  // read-only: not the server any more that we want
      return true;
    default:
      return code >= CR_MIN_ERROR && code <= CR_MAX_ERROR;
  }
}

bool is_conflict(int code) {
  return code == ER_LOCK_DEADLOCK || code == ER_LOCK_WAIT_TIMEOUT || code == kCheckRead;
}

Code code_of(int code) {
  switch (code) {
    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case kCheckRead:
    case ER_CON_COUNT_ERROR:
    case ER_DISK_FULL:
    case ER_RECORD_FILE_FULL:
    case ER_QUERY_INTERRUPTED:
    case ER_OUT_OF_RESOURCES:
    case ER_OUTOFMEMORY:
    case ER_ERROR_ON_WRITE:
    case ER_ERROR_DURING_COMMIT:
      return Code::kUnavailable;
    case ER_NET_PACKET_TOO_LARGE:
    case ER_TOO_BIG_ROWSIZE:
      return Code::kTooLarge;
    case ER_ACCESS_DENIED_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_BAD_DB_ERROR:
    case ER_DATA_TOO_LONG:
      return Code::kInvalid;
    default:
      return Code::kInternal;
  }
}

}  // namespace

MariadbDriver::MariadbDriver(Settings settings)
    : settings_(std::move(settings)), dog_(settings_.call_timeout) {}

const server::Statements& MariadbDriver::statements() const noexcept {
  return kStatements;
}

std::unique_ptr<MariadbSession> MariadbDriver::connect_plainly() {
  return std::make_unique<MariadbSession>(settings_.connect, dog_);
}

void MariadbDriver::learn_limits(MariadbSession& session) {
  const auto packet =
      std::stoull(session.execute("SELECT CAST(@@max_allowed_packet AS SIGNED)"));
  // Two digits a byte, and what goes with it in a statement.
  constexpr std::uint64_t kRest = 3U << 20;
  max_payload_ = std::clamp<std::uint64_t>(packet > kRest ? (packet - kRest) / 2 : 0,
                                           64U << 10, 64U << 20);
}

server::Failure MariadbDriver::failure(server::Session* session) noexcept {
  const bool timed_out = session != nullptr && session->timed_out();
  server::Failure failure;
  try {
    throw;
  } catch (const server::SchemaProblem& problem) {
    failure.error = {problem.code, settings_.place + ": " + problem.message, kOrigin, 0,
                     Duration{0}};
    return failure;
  } catch (const soci::mysql_soci_error& e) {
    const auto code = static_cast<int>(e.err_num_);
    failure.lost = session == nullptr || timed_out || ends_session(code);
    failure.conflict = is_conflict(code);
    failure.error.origin = kOrigin;
    failure.error.native = code;
    failure.error.code = failure.lost ? Code::kUnavailable : code_of(code);
    // What follows a "near" quotes the statement, payloads among it.
    std::string message = e.get_error_message();
    message.resize(std::min(message.find(" near '"), message.size()));
    failure.error.message = settings_.place + ": " + message;
  } catch (...) {
    failure = server::common_failure(settings_.place, kOrigin);
    failure.lost = failure.lost || timed_out;
  }
  if (timed_out) {
    failure.error.code = Code::kUnavailable;
    failure.error.message =
        settings_.place + ": the server did not answer in time (call_timeout)";
  }
  return failure;
}

}  // namespace carrel::sql::mariadb
