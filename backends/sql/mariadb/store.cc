#include "mariadb/store.h"

#include <algorithm>

#include "mariadb/driver.h"
#include "mariadb/schema.h"
#include "server/hot_tables.h"
#include "server/poller.h"
#include "server/store.h"

namespace carrel::sql::mariadb {

Result<std::unique_ptr<Store>> open_store(const Url& url, const BackendOptions& options) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  const Migrate migrate = settings->migrate;
  const auto driver = std::make_shared<MariadbDriver>(std::move(*settings));
  std::unique_ptr<MariadbSession> session;
  try {
    session = driver->connect_plainly();
    prepare_schema(*session, migrate);
    session.reset();
    return server::make_store(
        driver, options, [&](Waiters& waiters, server::LookForLanes lanes) {
          return std::make_unique<server::Poller>(options, waiters, std::move(lanes));
        });
  } catch (...) {
    return tl::unexpected(driver->failure(session.get()).error);
  }
}

Result<SchemaChange> change_schema(const Url& url, bool apply) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  if (apply) settings->call_timeout = server::kPatience;
  MariadbDriver driver(std::move(*settings));
  std::unique_ptr<MariadbSession> session;
  try {
    session = driver.connect_plainly();
    const SchemaVersion found = version_of(*session);
    needs_steps(found, kSchemaVersion, Migrate::kOn);  // throws of what is too new
    SchemaChange change{found.version, std::max(found.version, kSchemaVersion),
                        steps_from(found.version)};
    // While a step waits for who uses a table, all others wait behind it: briefly.
    if (apply) session->execute("SET SESSION lock_wait_timeout = 2");
    if (apply) prepare_schema(*session, Migrate::kOn, server::kPatience);
    return change;
  } catch (...) {
    return tl::unexpected(driver.failure(session.get()).error);
  }
}

}  // namespace carrel::sql::mariadb
