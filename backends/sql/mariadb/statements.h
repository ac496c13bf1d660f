// What server/statements.h names, in MariaDB's SQL.
#pragma once

#include "server/statements.h"

namespace carrel::sql::mariadb {

extern const server::Statements kStatements;
// For a host's transaction that is not READ COMMITTED.
extern const server::Statements kSnapshotStatements;

}  // namespace carrel::sql::mariadb
