// The checker's rules of jobs that share a key: limits and rates.
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

}  // namespace carrel::conformance
