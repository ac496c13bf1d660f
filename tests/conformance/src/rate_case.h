// What the cases about rates share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "limit_case.h"

namespace carrel::conformance {

// Far longer than any test takes, where the clock is a server's.
inline constexpr Duration kPeriod = 10min;
inline constexpr Duration kLong = 1000h;  // a lease that outlives every window here

inline NewJob rated(std::string key, std::uint32_t starts = 1,
                    Duration period = kPeriod) {
  NewJob job = StoreCase::job();
  job.rate = Rate{std::move(key), starts, period};
  return job;
}

inline Claimed begin(StoreCase& t, JobId id) { return t.claim(id, kWorker, kLong); }

inline void run(StoreCase& t, JobId id) { t.finish(begin(t, id)); }

inline NewJob both(std::string limit, std::string rate, std::uint32_t running,
                   std::uint32_t starts) {
  NewJob job = rated(std::move(rate), starts);
  job.limit = Limit{std::move(limit), running};
  return job;
}

// Beside limits, claimed through the store itself, and for random schedules.
void add_rates_together_cases(const Add& add);

}  // namespace carrel::conformance
