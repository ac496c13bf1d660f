// The store of the scheme "sqlite".
#pragma once

#include <carrel/registry.h>
#include <carrel/store.h>

#include <memory>

namespace carrel::sql::sqlite {

// Opens the file, makes or migrates its tables. Errors name the file and the cause.
Result<std::unique_ptr<Store>> open_store(const Url& url, const BackendOptions& options);

// Rebuilds the file. Whoever writes waits meanwhile, up to its `busy_timeout`.
Result<Reindexed> reindex(const Url& url);

}  // namespace carrel::sql::sqlite
