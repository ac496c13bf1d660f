// What server/statements.h names, in PostgreSQL's SQL.
#pragma once

#include "server/statements.h"

namespace carrel::sql::postgresql {

extern const server::Statements kStatements;

}  // namespace carrel::sql::postgresql
