#include <mysqld_error.h>

#include <string>

#include "mariadb/driver.h"
#include "mariadb/schema.h"
#include "mariadb/store.h"
#include "server/hot_tables.h"

namespace carrel::sql::mariadb {
namespace {

std::uint64_t size_of(MariadbSession& session) {
  std::string names;
  for (const std::string table : server::kHotTables) {
    names += (names.empty() ? "'" : ", '") + table + "'";
  }
  return std::stoull(session.execute(
      "SELECT CAST(COALESCE(SUM(data_length + index_length + data_free), 0) AS SIGNED)"
      "  FROM information_schema.tables"
      " WHERE table_schema = DATABASE() AND table_name IN (" +
      names + ")"));
}

// What OPTIMIZE TABLE does, but for that it says where others would have to wait. False:
// somebody has held the table for a second.
bool rebuild(MariadbSession& session, const std::string& table) {
  try {
    session.execute("ALTER TABLE " + table + " FORCE, ALGORITHM = INPLACE, LOCK = NONE");
    return true;
  } catch (const soci::mysql_soci_error& e) {
    if (e.err_num_ != ER_LOCK_WAIT_TIMEOUT) throw;
    return false;
  }
}

}  // namespace

Result<Reindexed> reindex(const Url& url) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  settings->call_timeout = server::kPatience;
  MariadbDriver driver(std::move(*settings));
  std::unique_ptr<MariadbSession> session;
  try {
    session = driver.connect_plainly();
    prepare_schema(*session, Migrate::kOff);
    Reindexed done;
    done.bytes_before = size_of(*session);
    // While it waits for a transaction that is open, all others wait behind it: briefly.
    session->execute("SET SESSION lock_wait_timeout = 1");
    std::string left;
    for (const std::string table : server::kHotTables) {
      if (!rebuild(*session, table)) left += (left.empty() ? "" : ", ") + table;
    }
    done.bytes_after = size_of(*session);
    done.how =
        "ALTER TABLE … FORCE, which holds up others for a moment at the begin and end of "
        "each table";
    if (!left.empty()) {
      done.how += "; not done, as open transactions hold it: " + left +
                  ": end those, and do it again";
    }
    return done;
  } catch (...) {
    return tl::unexpected(driver.failure(session.get()).error);
  }
}

}  // namespace carrel::sql::mariadb
