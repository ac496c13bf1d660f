// The tables of a MariaDB store, and how older ones become newer ones.
#pragma once

#include <chrono>
#include <string>

#include "migrate.h"

namespace carrel::sql::mariadb {

class MariadbSession;

// As in postgresql/schema.h.
inline constexpr int kSchemaVersion = 7;

// Throws soci::soci_error.
SchemaVersion version_of(MariadbSession& session);

// The SQL that leads from `version` to kSchemaVersion. MariaDB commits each CREATE by
// itself, so every statement may find its work done already, and the last one says, at
// once, which versions there are now: whoever looks meanwhile sees `version`.
std::string steps_from(int version);

// Sees to it that the tables can be used: makes them or brings them forward as `migrate`
// allows, one process at a time: waits for another up to `patience`. What a crash has
// left half done is gone on with. Throws soci::soci_error and SchemaProblem.
void prepare_schema(MariadbSession& session, Migrate migrate,
                    std::chrono::seconds patience = std::chrono::seconds(6));

}  // namespace carrel::sql::mariadb
