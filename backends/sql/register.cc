#include <carrel/sql.h>

#include "mariadb/store.h"
#include "postgresql/store.h"
#include "sqlite/store.h"

namespace carrel {

void register_sql(Registry& registry) {
  registry.add_store("sqlite", sql::sqlite::open_store);
  registry.add_store("postgresql", sql::postgresql::open_store);
  registry.add_store("mysql", sql::mariadb::open_store);
  registry.add_reindex("sqlite", sql::sqlite::reindex);
  registry.add_reindex("postgresql", sql::postgresql::reindex);
  registry.add_reindex("mysql", sql::mariadb::reindex);
  registry.add_schema("sqlite", sql::sqlite::change_schema);
  registry.add_schema("postgresql", sql::postgresql::change_schema);
  registry.add_schema("mysql", sql::mariadb::change_schema);
}

}  // namespace carrel
