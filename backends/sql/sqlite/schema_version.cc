#include "schema_version.h"

#include "error.h"
#include "statement.h"

namespace carrel::sql::sqlite {

Error error_of(const std::string& path, const SchemaTooNew& problem) {
  return {Code::kUnsupported,
          path + ": its schema has version " + std::to_string(problem.version) +
              ", this program knows versions up to " + std::to_string(kSchemaVersion) +
              ": use a newer carrel",
          kOrigin, 0, Duration{0}};
}

int read_version(soci::session& session) {
  int version = 0;
  Statement(session, "SELECT coalesce(max(version), 0) FROM carrel_schema",
            soci::into(version))
      .run();
  if (version > kSchemaVersion) throw SchemaTooNew{version};
  return version;
}

}  // namespace carrel::sql::sqlite
