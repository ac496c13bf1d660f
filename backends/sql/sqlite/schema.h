// The tables of a SQLite store, and how an older file becomes a newer one.
#pragma once

namespace carrel::sql::sqlite {

class Session;

// The version of the schema that this library reads and writes. Raised with every change
// of the tables; versions are only ever added, and each knows the step from the one
// before.
inline constexpr int kSchemaVersion = 6;

// Makes the tables, or brings them up to kSchemaVersion, within the open transaction of
// `session`: it is all done or not at all. Throws soci::soci_error, and SchemaTooNew.
void migrate(Session& session);

// The file was written by a newer version of the library.
struct SchemaTooNew {
  int version = 0;
};

}  // namespace carrel::sql::sqlite
