// Waiting for jobs that somebody else runs, and showing how far they are.
#pragma once

#include <carrel/engine.h>

#include <span>

namespace carrel::cli {

// Prints each job's result (with `json`: its record) as it ends, in the order of `ids`.
// Answers with an exit code: of the first job that did not complete.
int wait_for(Engine& engine, std::span<const JobId> ids, Duration at_most, bool json);

}  // namespace carrel::cli
