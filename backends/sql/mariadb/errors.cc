#include "mariadb/errors.h"

#include <errmsg.h>
#include <mysqld_error.h>

#include <algorithm>

namespace carrel::sql::mariadb {
namespace {

constexpr int kCheckRead = 1020;  // a row has changed since it was read

}  // namespace

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
    // Read-only: not the server any more that we want.
    case ER_OPTION_PREVENTS_STATEMENT:
    case ER_READ_ONLY_MODE:
      return true;
    default:
      return code >= CR_MIN_ERROR && code <= CR_MAX_ERROR;
  }
}

bool is_conflict(int code) { return code == ER_LOCK_DEADLOCK || code == kCheckRead; }

Code code_of(int code) {
  switch (code) {
    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_LOCK_TABLE_FULL:
    case ER_STATEMENT_TIMEOUT:  // the server's max_statement_time
    case ER_TABLE_DEF_CHANGED:
    case ER_GET_ERRNO:  // of a storage engine, which has no word of its own for it
    case kCheckRead:
    case ER_CON_COUNT_ERROR:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_USER_LIMIT_REACHED:
    case ER_TOO_MANY_CONCURRENT_TRXS:
    case ER_MAX_PREPARED_STMT_COUNT_REACHED:
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
    case ER_ACCESS_DENIED_ERROR:  // these are about no row
    case ER_DBACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_BAD_DB_ERROR:
      return Code::kUnsupported;
    case ER_DATA_TOO_LONG:
      return Code::kInvalid;
    default:
      return Code::kInternal;
  }
}

std::string essence(std::string message) {
  message.resize(std::min(message.find(" near '"), message.size()));
  return message;
}

}  // namespace carrel::sql::mariadb
