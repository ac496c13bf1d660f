// Waiting for jobs that somebody else runs, and showing how far they are.
#pragma once

#include <carrel/engine.h>

#include <cstddef>
#include <span>

#include "bulk.h"

namespace carrel::cli {

struct Waited {
  int code = kOk;        // the most severe of all jobs
  std::size_t told = 0;  // of how many the end was told
};

// Prints each job's result (with `json`: its record) as it ends, in the order of `ids`.
// Of one that is not kept, only that it ended is known: kNotFound. Ends before all did
// with kTimedOut, kStoreAway or, by `bulk`, kInterrupted.
Waited wait_for(Engine& engine, std::span<const JobId> ids, Duration at_most,
                const Bulk& bulk, bool json);

}  // namespace carrel::cli
