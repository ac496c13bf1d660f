// What server/statements.h names, in PostgreSQL's SQL.
#pragma once

#include "server/statements.h"

namespace carrel::sql::postgresql {

extern const server::Statements kStatements;
// For a host's transaction, where it is not READ COMMITTED.
extern const server::Statements kSnapshotStatements;

}  // namespace carrel::sql::postgresql
