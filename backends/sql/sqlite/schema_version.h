// The version of a file's tables. Apart from schema.h, whose steps hosts do not need.
#pragma once

#include <carrel/result.h>
#include <soci/soci.h>

#include <string>

namespace carrel::sql::sqlite {

// The version of the schema that this library reads and writes. Raised with every change
// of the tables; versions are only ever added, and each knows the step from the one
// before.
inline constexpr int kSchemaVersion = 7;

// The file was written by a newer version of the library, and does not say that this one
// may use it.
struct SchemaTooNew {
  int version = 0;
};
Error error_of(const std::string& path, const SchemaTooNew& problem);

// 0: it has none yet; it may be newer than kSchemaVersion. Throws soci::soci_error, and
// SchemaTooNew.
int read_version(soci::session& session);

}  // namespace carrel::sql::sqlite
