// What the cases about limits by key share.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "store_case.h"

namespace carrel::conformance {

using Add = std::function<void(const char*, StoreCases::Body)>;

inline NewJob limited(std::string key, std::uint32_t running = 1) {
  NewJob job = StoreCase::job();
  job.limit = Limit{std::move(key), running};
  return job;
}

inline NewJob in_queue(std::string queue, NewJob job) {
  job.queue = std::move(queue);
  return job;
}

inline std::vector<JobId> claim_best(ClaimSource& source, std::size_t max,
                                     std::uint64_t number, Duration lease = kLease) {
  static const std::vector<std::string> kKinds = {"work"};
  std::vector<JobId> ids;
  for (const Claimed& run :
       must(source.claim({{}, kKinds, max}, kWorker, 1000 + number, lease, 0s))) {
    ids.push_back(run.lease.id);
  }
  return ids;
}

}  // namespace carrel::conformance
