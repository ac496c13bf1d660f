// The checker's rules of jobs that share a key: limits, rates and unique keys.
#pragma once

#include <carrel/job.h>

#include <span>

#include "checker_seen.h"

namespace carrel::conformance {

// Rule 10. A run is under way, for all that the store may know, from when its handler
// began until that ended or its lease did; one whose end nobody saw is left out.
void check_limits(std::span<const JobRecord> rows, const JobsSeen& seen,
                  const Broken& broken);
// Rule 11, of the attempts that the store has written down, by its own clock.
void check_rates(std::span<const JobRecord> rows, const Broken& broken);
// Rule 12, of the requests under unique keys; those that met a job up to `after` are left
// out. How many met a job, and so have none of their own, is the answer. What a job was
// when another came is judged by the logs, where they leave no doubt, and when each was
// enqueued by the store's own clock.
std::size_t check_uniques(std::span<const JobRecord> rows, const JobsSeen& seen,
                          const RequestsSeen& requests, JobId after,
                          const Broken& broken);

}  // namespace carrel::conformance
