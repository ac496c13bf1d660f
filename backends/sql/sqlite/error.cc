#include "error.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "schema.h"

namespace carrel::sql::sqlite {
namespace {

constexpr const char* kOrigin = "sqlite";

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

Error error_of(const std::string& path, int result, std::string_view what) {
  Error error;
  error.code = code_of(result);
  error.message = path + ": ";
  error.message += without_function(what);
  error.origin = kOrigin;
  error.native = result;
  return error;
}

Error current_error(const std::string& path) noexcept {
  try {
    throw;
  } catch (const SchemaTooNew& e) {
    return {Code::kUnsupported,
            path + ": its schema has version " + std::to_string(e.version) +
                ", this program knows versions up to " + std::to_string(kSchemaVersion) +
                ": use a newer carrel",
            kOrigin, 0, Duration{0}};
  } catch (const soci::sqlite3_soci_error& e) {
    return error_of(path, e.result(), e.get_error_message());
  } catch (const soci::soci_error& e) {
    return {Code::kInternal, path + ": " + e.get_error_message(), kOrigin, 0,
            Duration{0}};
  } catch (const std::bad_alloc&) {
    return {Code::kUnavailable, path + ": no memory", kOrigin, 0, Duration{0}};
  } catch (const std::exception& e) {
    return {Code::kInternal, path + ": " + e.what(), kOrigin, 0, Duration{0}};
  } catch (...) {
    return {Code::kInternal, path + ": unknown exception", kOrigin, 0, Duration{0}};
  }
}

}  // namespace carrel::sql::sqlite
