#include "server/used_limits.h"

namespace carrel::sql::server {

void UsedLimits::Plain::add(std::span<const Claimed> jobs,
                            const std::unordered_set<JobId>& but) {
  constexpr std::size_t kMany = 1U << 16;  // some are finished elsewhere
  const std::lock_guard lock(mutex_);
  if (ids_.size() > kMany) ids_.clear();
  for (const Claimed& job : jobs) ids_.insert(job.lease.id);
  for (const JobId id : but) ids_.erase(id);
}

void UsedLimits::Plain::remove(JobId id) {
  const std::lock_guard lock(mutex_);
  ids_.erase(id);
}

std::vector<JobId> UsedLimits::Plain::take_others(std::span<const JobId> ids) {
  std::vector<JobId> others;
  const std::lock_guard lock(mutex_);
  for (const JobId id : ids) {
    if (ids_.erase(id) == 0) others.push_back(id);
  }
  return others;
}

}  // namespace carrel::sql::server
