#include "postgresql/store.h"

#include <algorithm>

#include "postgresql/driver.h"
#include "postgresql/listener.h"
#include "postgresql/schema.h"
#include "server/hot_tables.h"
#include "server/store.h"

namespace carrel::sql::postgresql {

Result<std::unique_ptr<Store>> open_store(const Url& url, const BackendOptions& options) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  const Migrate migrate = settings->migrate;
  const auto driver = std::make_shared<PostgresDriver>(std::move(*settings));
  std::unique_ptr<PostgresSession> session;
  try {
    session = driver->connect_plainly();
    prepare_schema(*session, migrate);
    session.reset();
    return server::make_store(
        driver, options, [&](Waiters& waiters, server::LookForLanes lanes) {
          return std::make_unique<Listener>(driver, options, waiters, std::move(lanes));
        });
  } catch (...) {
    return tl::unexpected(driver->failure(session.get()).error);
  }
}

Result<SchemaChange> change_schema(const Url& url, bool apply) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  if (apply) settings->call_timeout = server::kPatience;
  PostgresDriver driver(std::move(*settings));
  std::unique_ptr<PostgresSession> session;
  try {
    session = driver.connect_plainly();
    const SchemaVersion found = version_of(*session);
    needs_steps(found, kSchemaVersion, Migrate::kOn);  // throws of what is too new
    SchemaChange change{found.version, std::max(found.version, kSchemaVersion), {}};
    for (int v = found.version; v < kSchemaVersion; ++v) change.sql += step_from(v);
    if (!change.sql.empty()) change.sql = script_of(change.sql);
    if (apply) prepare_schema(*session, Migrate::kOn);
    return change;
  } catch (...) {
    return tl::unexpected(driver.failure(session.get()).error);
  }
}

}  // namespace carrel::sql::postgresql
