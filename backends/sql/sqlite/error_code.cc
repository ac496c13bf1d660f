#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <cerrno>

#include "error.h"

namespace carrel::sql::sqlite {
namespace {

// "sqlite3_statement_backend::loadOne: disk full" → "disk full"
std::string_view without_function(std::string_view message) {
  const std::size_t colon = message.find(": ");
  if (message.starts_with("sqlite3_") && colon != std::string_view::npos) {
    message.remove_prefix(colon + 2);
  }
  while (!message.empty() && message.back() == ' ') message.remove_suffix(1);
  return message;
}

}  // namespace

Code code_of(int result) noexcept {
  switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_READONLY:
    case SQLITE_INTERRUPT:
      return Code::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kCorrupt;
    case SQLITE_TOOBIG:
      return Code::kTooLarge;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Code::kInvalid;
    default:
      return Code::kInternal;
  }
}

Code code_of_errno(int error) noexcept {
  switch (error) {
    case EROFS:
    case ENOSPC:
    case EDQUOT:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kUnavailable;
    default:
      return Code::kInvalid;
  }
}

Error error_of(const std::string& path, int result, std::string_view what) {
  Error error;
  error.code = code_of(result);
  error.message = path + ": ";
  error.message += without_function(what);
  error.origin = "sqlite";
  error.native = result;
  return error;
}

}  // namespace carrel::sql::sqlite
