// What a process has used, and what a list of durations says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trial {

// User and system time, in seconds. `who`: RUSAGE_SELF, or RUSAGE_CHILDREN for those that
// were waited for.
double cpu_seconds(int who);
// The most that was resident since this program was executed, in bytes.
std::uint64_t peak_bytes();
// The most of any child that was waited for, in bytes.
std::uint64_t largest_child_bytes();
// The smallest value that at least `share` (0–1) of all are not above; 0 of none.
double percentile(const std::vector<double>& sorted, double share);

}  // namespace trial
