#include <carrel/conformance/faults.h>

#include <utility>

namespace carrel::conformance {
namespace {

template <class T>
std::vector<Result<T>> all_fail(std::size_t n, const Error& error) {
  return std::vector<Result<T>>(n, tl::unexpected<Error>(error));
}

class CrashingSource final : public ClaimSource {
 public:
  CrashingSource(std::unique_ptr<ClaimSource> real, std::shared_ptr<FaultPlan> plan)
      : real_(std::move(real)), plan_(std::move(plan)) {}

  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override {
    if (auto error = plan_->pass(FaultPoint::kBeforeClaimCommit)) {
      return tl::unexpected<Error>(std::move(*error));
    }
    auto runs = real_->claim(demand, worker, claim_number, lease, wait);
    // A claim that found nothing committed nothing.
    if (!runs || runs->empty()) return runs;
    if (auto error = plan_->pass(FaultPoint::kAfterClaimCommit)) {
      return tl::unexpected<Error>(std::move(*error));
    }
    return runs;
  }
  void interrupt() noexcept override { real_->interrupt(); }

 private:
  std::unique_ptr<ClaimSource> real_;
  std::shared_ptr<FaultPlan> plan_;
};

}  // namespace

CrashingStore::CrashingStore(std::unique_ptr<Store> real, std::shared_ptr<FaultPlan> plan)
    : StoreWrapper(std::move(real)), plan_(std::move(plan)) {}

std::unique_ptr<ClaimSource> CrashingStore::claim_source() {
  auto source = StoreWrapper::claim_source();
  if (!source) return nullptr;
  return std::make_unique<CrashingSource>(std::move(source), plan_);
}

std::vector<Result<Inserted>> CrashingStore::insert(std::span<const NewJob> jobs,
                                                    Duration deadline) {
  if (const auto error = plan_->pass(FaultPoint::kBeforeInsertCommit)) {
    return all_fail<Inserted>(jobs.size(), *error);
  }
  auto answers = StoreWrapper::insert(jobs, deadline);
  if (const auto error = plan_->pass(FaultPoint::kAfterInsertCommit)) {
    return all_fail<Inserted>(jobs.size(), *error);
  }
  return answers;
}

Result<std::vector<ClaimAnswer>> CrashingStore::claim(std::span<const Ticket> tickets,
                                                      std::string_view worker,
                                                      std::uint64_t claim_number,
                                                      Duration lease) {
  if (auto error = plan_->pass(FaultPoint::kBeforeClaimCommit)) {
    return tl::unexpected<Error>(std::move(*error));
  }
  auto answers = StoreWrapper::claim(tickets, worker, claim_number, lease);
  if (auto error = plan_->pass(FaultPoint::kAfterClaimCommit)) {
    return tl::unexpected<Error>(std::move(*error));
  }
  return answers;
}

Result<std::vector<Pulse>> CrashingStore::beat(std::string_view worker,
                                               std::uint64_t settled_claim,
                                               std::span<const Beat> beats, bool renew,
                                               Duration lease) {
  if (auto error = plan_->pass(FaultPoint::kBeforeBeatCommit)) {
    return tl::unexpected<Error>(std::move(*error));
  }
  return StoreWrapper::beat(worker, settled_claim, beats, renew, lease);
}

std::vector<Result<Finished>> CrashingStore::finish(std::span<const Finish> runs) {
  if (const auto error = plan_->pass(FaultPoint::kBeforeFinishCommit)) {
    return all_fail<Finished>(runs.size(), *error);
  }
  auto answers = StoreWrapper::finish(runs);
  if (const auto error = plan_->pass(FaultPoint::kAfterFinishCommitBeforeReply)) {
    return all_fail<Finished>(runs.size(), *error);
  }
  return answers;
}

}  // namespace carrel::conformance
