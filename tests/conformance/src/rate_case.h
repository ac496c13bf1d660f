// What the cases about rates share.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "store_case.h"

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

inline std::vector<JobId> claim_best(ClaimSource& source, std::size_t max,
                                     std::uint64_t number) {
  static const std::vector<std::string> kKinds = {"work"};
  std::vector<JobId> ids;
  for (const Claimed& claimed :
       must(source.claim({{}, kKinds, max}, kWorker, 1000 + number, kLong, 0s))) {
    ids.push_back(claimed.lease.id);
  }
  return ids;
}

inline NewJob both(std::string limit, std::string rate, std::uint32_t running,
                   std::uint32_t starts) {
  NewJob job = rated(std::move(rate), starts);
  job.limit = Limit{std::move(limit), running};
  return job;
}

using Add = std::function<void(const char*, StoreCases::Body)>;

// Beside limits, claimed through the store itself, and for random schedules.
void add_rates_together_cases(const Add& add);

}  // namespace carrel::conformance
