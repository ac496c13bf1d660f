#include <string>

#include "postgresql/driver.h"
#include "postgresql/schema.h"
#include "postgresql/store.h"
#include "server/hot_tables.h"

namespace carrel::sql::postgresql {
namespace {

std::uint64_t size_of(PostgresSession& session) {
  std::uint64_t bytes = 0;
  for (const std::string table : server::kHotTables) {
    bytes += std::stoull(
        session.execute(("SELECT pg_total_relation_size('" + table + "')").c_str()));
  }
  return bytes;
}

// A rebuild that was cut off leaves half an index, which every write goes on to keep; of
// what a table keeps beside its rows (TOAST), too.
void drop_half_built(PostgresSession& session) {
  const char* const find =
      "SELECT c.oid::regclass FROM pg_catalog.pg_class AS c"
      "  JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid"
      " WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'"
      "   AND i.indrelid IN (SELECT unnest(ARRAY[t.oid, t.reltoastrelid])"
      "                        FROM pg_catalog.pg_class AS t"
      "                       WHERE t.relname ~ '^carrel_' AND t.relkind = 'r'"
      "                         AND pg_table_is_visible(t.oid))"
      " LIMIT 1";
  for (std::string index; !(index = session.execute(find)).empty();) {
    session.execute(("DROP INDEX CONCURRENTLY " + index).c_str());
  }
}

}  // namespace

Result<Reindexed> reindex(const Url& url) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  settings->call_timeout = server::kPatience;
  PostgresDriver driver(std::move(*settings));
  std::unique_ptr<PostgresSession> session;
  try {
    session = driver.connect_plainly();
    prepare_schema(*session, Migrate::kOff);
    Reindexed done;
    done.bytes_before = size_of(*session);
    drop_half_built(*session);
    for (const std::string table : server::kHotTables) {
      // The first makes room within the table, so that nothing dead is indexed again.
      session->execute(("VACUUM (ANALYZE) " + table).c_str());
      session->execute(("REINDEX TABLE CONCURRENTLY " + table).c_str());
    }
    done.bytes_after = size_of(*session);
    done.how = "VACUUM and REINDEX CONCURRENTLY, which hold up nobody";
    return done;
  } catch (...) {
    return tl::unexpected(driver.failure(session.get()).error);
  }
}

}  // namespace carrel::sql::postgresql
