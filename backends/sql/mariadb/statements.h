// What server/statements.h names, in MariaDB's SQL.
#pragma once

#include "server/statements.h"

namespace carrel::sql::mariadb {

extern const server::Statements kStatements;

}  // namespace carrel::sql::mariadb
