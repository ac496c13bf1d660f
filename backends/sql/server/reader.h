// The reading half of a store: what workers ask without writing.
#pragma once

#include <carrel/store.h>

#include <span>
#include <string>
#include <vector>

#include "server/lanes.h"
#include "server/reading.h"

namespace carrel::sql::server {

// A connection of its own. Threads: safe, one call at a time. No call leaves a
// transaction open.
class Reader {
 public:
  Reader(Driver& driver, const BackendOptions& options);
  ~Reader();

  Result<std::vector<Ticket>> peek(const Demand& demand);
  // Those of `ids` that are final or gone.
  Result<std::vector<JobId>> ended(std::span<const JobId> ids);
  // Until a sweep has something to do, at least 0; Duration::max(): nothing is waiting.
  Result<Duration> next_due();
  // A hint: what fails is left as it is.
  void mend_plans();
  // With available jobs, of queues that are not paused.
  Result<std::vector<Lane>> lanes();

 private:
  struct Tables;
  Driver& driver_;
  const std::size_t max_rows_;
  const std::map<std::string, std::uint32_t> queue_limits_;
  Reading<Tables> reading_;
};

}  // namespace carrel::sql::server
