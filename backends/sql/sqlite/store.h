// The store of the scheme "sqlite".
#pragma once

#include <carrel/registry.h>
#include <carrel/store.h>

#include <memory>

namespace carrel::sql::sqlite {

// Opens the file, makes or migrates its tables. Errors name the file and the cause.
Result<std::unique_ptr<Store>> open_store(const Url& url, const BackendOptions& options);

// What brings the tables of the file forward, and that done where `apply`: whoever opens
// the file does it, too. Else nothing is written, and no file made.
Result<SchemaChange> change_schema(const Url& url, bool apply);

// Rebuilds the file. Whoever writes waits meanwhile, up to its `busy_timeout`.
Result<Reindexed> reindex(const Url& url);

}  // namespace carrel::sql::sqlite
