// The tables of a SQLite store, and how an older file becomes a newer one.
#pragma once

#include <string>

#include "schema_version.h"

namespace carrel::sql::sqlite {

class Session;

// Makes the tables, or brings them up to kSchemaVersion, within the open transaction of
// `session`: it is all done or not at all. Throws soci::soci_error, and SchemaTooNew.
void migrate(Session& session);
// There is nothing to migrate. Reads only; throws what read_version() does.
bool is_current(Session& session);

// The same from `version` on, as a script.
std::string steps_from(int version);

}  // namespace carrel::sql::sqlite
