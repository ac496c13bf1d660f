// The tables of a PostgreSQL store, and how older ones become newer ones.
#pragma once

#include <string>
#include <string_view>

#include "migrate.h"

namespace carrel::sql::postgresql {

class PostgresSession;

// The version of the schema that this library reads and writes. Raised with every change
// of the tables; versions are only ever added, and each knows the step from the one
// before, and the oldest version of the library's that can still use it.
inline constexpr int kSchemaVersion = 9;

// Throws soci::soci_error.
SchemaVersion version_of(PostgresSession& session);

// The SQL that leads from `version` to the next, to be run in one transaction.
std::string_view step_from(int version);

// Such steps for a person to run elsewhere, as prepare_schema() runs them.
std::string script_of(const std::string& steps);

// Sees to it that the tables can be used: makes them or brings them forward as `migrate`
// allows, all or nothing, in one transaction at a time however many processes try. Throws
// soci::soci_error and SchemaProblem.
void prepare_schema(PostgresSession& session, Migrate migrate);

}  // namespace carrel::sql::postgresql
