// The checker's rule 2 and what a host is promised: its rows and the store's jobs came in
// one transaction, and so are there together or not at all.
#pragma once

#include <carrel/store.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "host_db.h"

namespace carrel::fault {

struct HostReport {
  std::size_t enqueued = 0;   // jobs that a host's transaction has enqueued
  std::size_t completed = 0;  // and completed
  std::vector<std::string> broken;
};

// Which jobs hosts enqueue and complete, by their number.
struct HostJobs {
  std::function<bool(std::size_t n)> enqueued;
  std::function<bool(std::size_t n)> completed;
};

// Of jobs above `after`, which all `rows` are of. The store is at rest and has purged
// none of those.
HostReport check_host(Store& store, const HostDb::Rows& rows, const HostJobs& jobs,
                      JobId after);

}  // namespace carrel::fault
