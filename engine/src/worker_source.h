// Where a worker's feed claims from: a ClaimSource whose wait can be cut short.
#pragma once

#include <carrel/queue.h>
#include <carrel/store.h>
#include <carrel/telling_source.h>

#include <atomic>
#include <memory>
#include <mutex>

namespace carrel {

class WorkerSource : public ClaimSource {
 public:
  // The claim() under way, or else the next, ends at once, perhaps with nothing. From any
  // thread.
  virtual void nudge() noexcept = 0;
  // null: it cannot tell of jobs. With one there is no wait, and so no nudge.
  virtual TellingSource* teller() noexcept { return nullptr; }
};

// The store's own. An interrupt of that is for ever: after a nudge another takes its
// place.
class FusedSource final : public WorkerSource {
 public:
  explicit FusedSource(Store& store) : store_(store), source_(store.claim_source()) {}

  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override;
  void nudge() noexcept override;
  TellingSource* teller() noexcept override {
    return dynamic_cast<TellingSource*>(source_.get());
  }
  void interrupt() noexcept override;

 private:
  Store& store_;
  std::mutex mutex_;  // guards what nudge() and interrupt() see
  std::unique_ptr<ClaimSource> source_;
  std::atomic<bool> nudged_{false};
  bool interrupted_ = false;
};

}  // namespace carrel
