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

namespace {

// Who may use a schema that is newer than this library. 0: nobody.
int usable_from(soci::session& session) {
  int from = 0;
  Statement(session,
            "SELECT coalesce(usable_from, 0) FROM carrel_schema"
            " ORDER BY version DESC LIMIT 1",
            soci::into(from))
      .run();
  return from;
}

}  // namespace

int read_version(soci::session& session) {
  int version = 0;
  Statement(session, "SELECT coalesce(max(version), 0) FROM carrel_schema",
            soci::into(version))
      .run();
  if (version <= kSchemaVersion) return version;
  const int from = usable_from(session);
  if (from == 0 || from > kSchemaVersion) throw SchemaTooNew{version};
  return version;
}

}  // namespace carrel::sql::sqlite
