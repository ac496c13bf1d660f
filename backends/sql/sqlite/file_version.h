// What a file says of its tables, before anything in it is written or changed: it may be
// somebody else's.
#pragma once

#include <carrel/result.h>

#include "url.h"

namespace carrel::sql::sqlite {

// The version of its schema; it may be newer than kSchemaVersion, if that may use it. 0:
// there is no file, or there are no tables of carrel's in it. Reads only; waits for
// whoever writes, for busy_timeout at the most.
Result<int> version_of(const Settings& settings);

// Whether its tables are there and new enough, or settings.migrate allows to make them
// so. kUnsupported says what to do.
Result<void> may_use(const Settings& settings);

}  // namespace carrel::sql::sqlite
