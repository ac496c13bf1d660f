#include "worker_source.h"

namespace carrel {

Result<std::vector<Claimed>> FusedSource::claim(const Demand& demand,
                                                std::string_view worker,
                                                std::uint64_t claim_number,
                                                Duration lease, Duration wait) {
  auto answer = source_->claim(demand, worker, claim_number, lease, wait);
  if (nudged_.load()) {
    auto another = store_.claim_source();
    const std::lock_guard lock(mutex_);
    if (interrupted_) another->interrupt();
    source_ = std::move(another);
    nudged_ = false;
  }
  return answer;
}

void FusedSource::nudge() noexcept {
  const std::lock_guard lock(mutex_);
  if (!nudged_.exchange(true)) source_->interrupt();
}

void FusedSource::interrupt() noexcept {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  source_->interrupt();
}

}  // namespace carrel
