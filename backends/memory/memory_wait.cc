// What waits inside the store: the fused claim, and those who want to see a job's end.
#include <carrel/clock.h>
#include <carrel/telling_source.h>

#include <algorithm>
#include <utility>

#include "access.h"
#include "memory_store.h"

namespace carrel::memory {

// The store as its own queue.
class MemoryStore::Source final : public ClaimSource, public TellingSource {
 public:
  explicit Source(MemoryStore& store) : store_(store) {}
  ~Source() override {
    if (told_.call) Source::interrupt();
  }

  void tell(std::function<void()> told) override {
    told_.call = std::make_shared<Call>(std::move(told));
  }

  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override {
    std::vector<Claimed> taken;
    Duration granted = boot_time();  // before the store's clock is read
    Access access(store_);
    disarm();
    if (stopped() || demand.max == 0) return taken;
    taken = store_.take(demand, worker, claim_number, lease, access.now());
    if (taken.empty() && wait > Duration::zero()) {
      taken = wait_for(demand, worker, claim_number, lease, deadline_after(wait), access,
                       granted);
    }
    for (Claimed& job : taken) job.granted = granted;
    if (taken.size() < demand.max && told_.call && !stopped()) {
      remember(demand, demand.max - taken.size());
      store_.waiters_.add(told_);
      armed_ = true;
    }
    return taken;
  }

  void interrupt() noexcept override {
    {
      Access access(store_);
      interrupted_ = true;
      if (signal_ != nullptr) signal_->notify_all();
      const bool pass_on = armed_ && told_.called;  // a call that it never followed
      disarm();
      if (pass_on) store_.waiters_.call_all(access.wakes());
    }
    if (told_.call) told_.call->wait_over();
  }

 private:
  bool stopped() const { return interrupted_ || store_.interrupted_; }

  void disarm() {
    if (!std::exchange(armed_, false)) return;
    store_.waiters_.remove(told_);
    told_.called = false;
  }

  void remember(const Demand& demand, std::size_t max) {
    queues_.assign(demand.queues.begin(), demand.queues.end());
    kinds_.assign(demand.kinds.begin(), demand.kinds.end());
    bounds_.assign(demand.bounds.begin(), demand.bounds.end());
    demand_ = {queues_, kinds_, max, demand.in_order, bounds_};
  }

  std::vector<Claimed> wait_for(const Demand& demand, std::string_view worker,
                                std::uint64_t claim_number, Duration lease,
                                std::chrono::steady_clock::time_point deadline,
                                Access& access, Duration& granted) {
    std::vector<Claimed> taken;
    Waiters::Waiter waiter{demand, store_.signals_.take()};
    signal_ = waiter.signal;
    store_.waiters_.add(waiter);
    while (taken.empty()) {
      const bool called = access.wait_until(*waiter.signal, deadline,
                                            [&] { return waiter.called || stopped(); });
      if (stopped()) {
        // Somebody else must look at what this waiter was called for.
        if (waiter.called) store_.waiters_.call_all(access.wakes());
        break;
      }
      waiter.called = false;
      granted = boot_time();
      access.read_clock();
      taken = store_.take(demand, worker, claim_number, lease, access.now());
      if (!called) break;
    }
    store_.waiters_.remove(waiter);
    signal_ = nullptr;
    store_.signals_.give(waiter.signal);
    return taken;
  }

  MemoryStore& store_;
  // All under the store's lock.
  bool interrupted_ = false;
  std::condition_variable* signal_ = nullptr;  // while claim() waits
  Demand demand_;                              // of the claim that found too little
  std::vector<std::string> queues_;
  std::vector<std::string> kinds_;
  std::vector<QueueBound> bounds_;
  Waiters::Waiter told_{demand_, nullptr};
  bool armed_ = false;  // the last claim did, and told_ is among the waiters
};

std::unique_ptr<ClaimSource> MemoryStore::claim_source() {
  return std::make_unique<Source>(*this);
}

std::vector<JobId> MemoryStore::final_among(std::span<const JobId> ids) const {
  std::vector<JobId> found;
  for (const JobId id : ids) {
    const Row* row = jobs_.find(id);
    if (row == nullptr || is_final(row->rule.state)) found.push_back(id);
  }
  return found;
}

void MemoryStore::watch(std::span<const JobId> ids, Watcher& watcher) {
  for (const JobId id : ids) {
    jobs_.find(id)->watched = true;
    watchers_.emplace(value(id), &watcher);
  }
}

void MemoryStore::unwatch(std::span<const JobId> ids, const Watcher& watcher) {
  for (const JobId id : ids) {
    const auto [from, to] = watchers_.equal_range(value(id));
    const auto mine = std::find_if(
        from, to, [&](const auto& entry) { return entry.second == &watcher; });
    if (mine != to) watchers_.erase(mine);
  }
}

Result<std::vector<JobId>> MemoryStore::await_final(std::span<const JobId> ids,
                                                    Duration wait) {
  Access access(*this);
  std::vector<JobId> found = final_among(ids);
  if (!found.empty() || ids.empty() || wait <= Duration::zero() || interrupted_) {
    return found;
  }
  Watcher watcher{signals_.take()};
  watch(ids, watcher);
  access.wait_until(*watcher.signal, deadline_after(wait),
                    [&] { return watcher.called || interrupted_; });
  unwatch(ids, watcher);
  signals_.give(watcher.signal);
  return final_among(ids);
}

void MemoryStore::interrupt() noexcept {
  Access access(*this);
  interrupted_ = true;
  waiters_.call_all(access.wakes());
  for (const auto& [id, watcher] : watchers_) access.wakes().add(watcher->signal);
}

}  // namespace carrel::memory
