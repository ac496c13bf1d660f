// What people and dashboards read of a store.
#pragma once

#include <carrel/store.h>

#include <span>
#include <string>
#include <vector>

#include "server/reading.h"

namespace carrel::sql::server {

// A connection of its own, so that a long listing holds up no worker. Threads: safe, one
// call at a time.
class ServerMonitor final : public Monitor {
 public:
  explicit ServerMonitor(Driver& driver);
  ~ServerMonitor() override;

  Result<JobRecord> job(JobId id) override;
  Result<std::vector<JobRecord>> list(const Filter& filter, JobId before,
                                      std::size_t limit) override;
  Result<Counts> counts() override;
  Result<std::vector<std::string>> paused() override;
  Result<Footprint> footprint() override;

 private:
  struct Tables;
  // Runs `read` within one snapshot, and ends it: read(Tables&, now).
  template <class Read>
  auto snapshot(Read read);

  Driver& driver_;
  Reading<Tables> reading_;
};

}  // namespace carrel::sql::server
