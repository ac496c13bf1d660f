#include <algorithm>

#include "file_version.h"
#include "schema.h"
#include "schema_version.h"
#include "session.h"
#include "store.h"

namespace carrel::sql::sqlite {

Result<SchemaChange> change_schema(const Url& url, bool apply) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  if (auto ok = check_place(settings->path); !ok) return tl::unexpected(ok.error());
  SchemaChange change{0, kSchemaVersion, {}};
  const auto version = version_of(*settings);
  if (!version) return tl::unexpected(version.error());
  change.from = *version;
  change.to = std::max(change.from, change.to);  // a newer one that allows this
  change.sql = steps_from(change.from);
  if (apply && change.from < change.to) {
    Url forward = url;
    forward.query["migrate"] = "on";
    if (const auto store = open_store(forward, {}); !store) {
      return tl::unexpected(store.error());
    }
  }
  return change;
}

}  // namespace carrel::sql::sqlite
