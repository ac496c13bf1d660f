// The store in memory: Jobs under one lock, with those who wait for them.
#pragma once

#include <carrel/store.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "jobs.h"
#include "waiters.h"

namespace carrel::memory {

class MemoryStore final : public Store, private Monitor {
 public:
  explicit MemoryStore(const BackendOptions& options);
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  StoreTraits traits() const noexcept override;
  std::unique_ptr<ClaimSource> claim_source() override;
  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration deadline) override;
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker,
                                         std::uint64_t claim_number,
                                         Duration lease) override;
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override;
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override;
  Result<std::vector<Cancelled>> cancel(std::span<const JobId> ids) override;
  std::vector<Result<Ticket>> retry(std::span<const JobId> ids) override;
  Result<std::vector<Ticket>> peek(const Demand& demand) override;
  Result<Swept> sweep(std::size_t max) override;
  Result<std::vector<Ticket>> set_paused(std::string_view queue, bool paused) override;
  Result<std::vector<JobId>> await_final(std::span<const JobId> ids,
                                         Duration wait) override;
  void interrupt() noexcept override;
  Monitor& monitor() noexcept override { return *this; }

 private:
  class Source;
  class Access;
  // Somebody in await_final.
  struct Watcher {
    std::condition_variable* signal;
    bool called = false;
  };

  Result<JobRecord> job(JobId id) override;
  Result<std::vector<JobRecord>> list(const Filter& filter, JobId before,
                                      std::size_t limit) override;
  Result<Counts> counts() override;
  Result<std::vector<std::string>> paused() override;

  // All below expect the lock to be held.
  std::vector<Claimed> take(const Demand& demand, std::string_view worker,
                            std::uint64_t claim_number, Duration lease, Time now);
  const rules::WorkerId& known(std::string_view worker);
  std::optional<Refusal> start(Row& row, const rules::WorkerId& worker,
                               std::uint64_t claim_number, Duration lease, Time now);
  void release_unnamed(std::string_view worker, std::uint64_t settled_claim, Time now);
  // Nothing: no job holds the key of `job` that it meets.
  std::optional<Inserted> meet(const NewJob& job, Time now);
  void keep_outcome(Row& row, const Finish& run, Time now);
  void sweep_row(Row& row, Time now, Swept& swept);
  std::vector<JobId> final_among(std::span<const JobId> ids) const;
  void watch(std::span<const JobId> ids, Watcher& watcher);
  void unwatch(std::span<const JobId> ids, const Watcher& watcher);
  void tell_waiters(Wakes& wakes);
  // The best jobs of limited queues in which runs have ended since those who wait were
  // last told: one for each end.
  void add_eased(Time now, std::vector<Ticket>& tickets);

  const Clock& clock_;
  std::mutex mutex_;  // guards all below
  Jobs jobs_;
  Signals signals_;
  Waiters waiters_;
  std::unordered_multimap<std::uint64_t, Watcher*> watchers_;  // by job
  std::uint64_t beats_ = 0;
  rules::WorkerId last_worker_;  // that claimed: most likely the next, too
  bool interrupted_ = false;
};

}  // namespace carrel::memory
