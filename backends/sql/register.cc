#include <carrel/sql.h>

#include "sqlite_store.h"

namespace carrel {

void register_sql(Registry& registry) {
  registry.add_store("sqlite", sql::sqlite::open_store);
}

}  // namespace carrel
