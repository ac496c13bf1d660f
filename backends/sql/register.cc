#include <carrel/sql.h>

#include "mariadb/store.h"
#include "postgresql/store.h"
#include "sqlite/store.h"

namespace carrel {

void register_sql(Registry& registry) {
  registry.add_store("sqlite", sql::sqlite::open_store);
  registry.add_reindex("sqlite", sql::sqlite::reindex);
  registry.add_schema("sqlite", sql::sqlite::change_schema);
  for (const char* scheme : {"postgresql", "postgres"}) {
    registry.add_store(scheme, sql::postgresql::open_store);
    registry.add_reindex(scheme, sql::postgresql::reindex);
    registry.add_schema(scheme, sql::postgresql::change_schema);
  }
  for (const char* scheme : {"mysql", "mariadb"}) {
    registry.add_store(scheme, sql::mariadb::open_store);
    registry.add_reindex(scheme, sql::mariadb::reindex);
    registry.add_schema(scheme, sql::mariadb::change_schema);
  }
}

}  // namespace carrel
