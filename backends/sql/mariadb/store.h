// The store of the scheme "mysql", which is MariaDB 10.6 or later.
#pragma once

#include <carrel/registry.h>
#include <carrel/store.h>

#include <memory>

namespace carrel::sql::mariadb {

// Connects, and sees to the tables as far as the URL allows. Errors name the place and
// the cause.
Result<std::unique_ptr<Store>> open_store(const Url& url, const BackendOptions& options);

// What the tables there lack; `apply`: gives it to them.
Result<SchemaChange> change_schema(const Url& url, bool apply);

// Rebuilds the tables whose rows come and go; holds up nobody for long.
Result<Reindexed> reindex(const Url& url);

}  // namespace carrel::sql::mariadb
