// Processes that share a store. Call with one thread: each of these forks.
#pragma once

#include <string>

#include "probe.h"

namespace bench {

// Waiting jobs, drained by `options.threads` processes: jobs a second, together; or
// (`shares`) by how much what one of them did is off what each would do, were they all
// alike: 0.3 is 30 %.
double drain_by_processes(const std::string& url, const Options& options, bool shares);

// As median_latency, where the handler is another process's; the gaps are random, and
// `options.gap` on the average, so that no tick of the worker's is met again and again.
double latency_between_processes(const std::string& url, const Options& options);

// Seconds from the kill -9 of a worker, whose lease is 2 s, to the next start of its job
// in another; the median of `options.jobs`.
double rescue(const std::string& url, const Options& options);

}  // namespace bench
