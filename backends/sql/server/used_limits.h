// What is known of limits and rates beyond a transaction (limits.h).
#pragma once

#include <carrel/job.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <unordered_set>
#include <vector>

namespace carrel::sql::server {

// What a store's writers tell each other of jobs with limits or rates.
struct UsedLimits {
  // Commits that made one available that has to ask. Whoever claims compares: one that
  // comes while it looks is not lost.
  std::atomic<std::uint64_t> made{0};

  // Jobs that have none, and were claimed here.
  class Plain {
   public:
    void add(std::span<const Claimed> jobs, const std::unordered_set<JobId>& but);
    void remove(JobId id);
    std::vector<JobId> take_others(std::span<const JobId> ids);  // and forgets the rest

   private:
    std::mutex mutex_;
    std::unordered_set<JobId> ids_;
  };
  Plain plain;
};

// What outlives a session of what is known about limits.
struct LimitsUse {
  UsedLimits& used;
  Duration poll;
  std::chrono::steady_clock::time_point next_look{};
  // Those that come now and then keep their place among the others: after one was seen,
  // claims look for more until then.
  std::chrono::steady_clock::time_point looks_until{};
  std::uint64_t made = 0;  // UsedLimits::made, before it was last looked
  // Slots that a claim has waited for in vain: a host's transaction has one of them,
  // whose end nobody knows. Claims wait for none of these any more, until they get it.
  std::set<int> shunned = {};
};

}  // namespace carrel::sql::server
