// A host's session of a database server: which statements fit it, and what its errors
// mean. What is in the way of any call is said before one begins.
#pragma once

#include <carrel/result.h>
#include <soci/soci.h>

#include <cstdint>

#include "server/driver.h"
#include "server/statements.h"
#include "transaction/client.h"

namespace carrel::sql::transaction {

// What a kind of server, and the isolation of the host's transaction, ask for.
struct Kind {
  const char* origin;  // Error::origin
  const char* clock;   // a statement: microseconds since 1970 UTC
  const server::Statements& statements;
  std::uint64_t max_payload;  // and of a result
};

// Of a session whose transaction is open as far as its client knows. kInvalid: the server
// has ended it; text or rows would not come through. Throws what the database says.
Result<Kind> kind_of(soci::session& session, Backend backend);

// Of the exception that is being handled. Never lost: the connection is the host's, and
// there is no other. On PostgreSQL, while ErrorStates live.
server::Failure failure_of(soci::session& session, const char* origin) noexcept;

}  // namespace carrel::sql::transaction
