// What a host's session says of itself, asked through the client library that it uses,
// which is not linked here.
#pragma once

#include <carrel/result.h>
#include <soci/soci.h>

#include <cstdint>
#include <string>

namespace carrel::sql::transaction {

inline constexpr const char* kOrigin = "transaction";  // Error::origin

// The function of that name of the library that `session` uses; null: it has none.
void* client_function(soci::session& session, const char* name) noexcept;

enum class Backend : std::uint8_t { kSqlite, kPostgresql, kMysql };
// kUnsupported: it is none of these.
Result<Backend> backend_of(soci::session& session);

// Whether a transaction is open on it, as its client says without asking the server: of
// MariaDB's, kind_of() does. kInvalid: none is, or it has failed already; also, the
// session has a failover callback. kUnavailable: the connection is gone.
Result<void> check_open(soci::session& session, Backend backend);

// While it lives, what PostgreSQL says of an error begins with its SQLSTATE and a colon,
// as SOCI does not tell it without its part for that database.
class ErrorStates {
 public:
  explicit ErrorStates(soci::session& session) noexcept;
  ~ErrorStates();
  ErrorStates(const ErrorStates&) = delete;
  ErrorStates& operator=(const ErrorStates&) = delete;

 private:
  soci::session& session_;
  int before_;
};

// Of PostgreSQL's: the server is another's copy, as far as its client was told (from
// version 14 on).
bool is_standby(soci::session& session) noexcept;

// The file of a session of SQLite; empty: it has none.
std::string sqlite_file(soci::session& session);

// Of SQLite's client; the last one's.
long long sqlite_last_row(soci::session& session);
int sqlite_error(soci::session& session);
bool sqlite_in_transaction(soci::session& session);

}  // namespace carrel::sql::transaction
