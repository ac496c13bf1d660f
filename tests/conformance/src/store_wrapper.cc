#include <carrel/conformance/store_wrapper.h>

#include <utility>

namespace carrel::conformance {

StoreWrapper::StoreWrapper(std::unique_ptr<Store> real) : real_(std::move(real)) {}

StoreTraits StoreWrapper::traits() const noexcept { return real_->traits(); }

std::unique_ptr<ClaimSource> StoreWrapper::claim_source() {
  return real_->claim_source();
}

std::vector<Result<Inserted>> StoreWrapper::insert(std::span<const NewJob> jobs,
                                                   Duration deadline) {
  return real_->insert(jobs, deadline);
}

Result<std::vector<ClaimAnswer>> StoreWrapper::claim(std::span<const Ticket> tickets,
                                                     std::string_view worker,
                                                     std::uint64_t claim_number,
                                                     Duration lease) {
  return real_->claim(tickets, worker, claim_number, lease);
}

Result<std::vector<Pulse>> StoreWrapper::beat(std::string_view worker,
                                              std::uint64_t settled_claim,
                                              std::span<const Beat> beats, bool renew,
                                              Duration lease) {
  return real_->beat(worker, settled_claim, beats, renew, lease);
}

std::vector<Result<Finished>> StoreWrapper::finish(std::span<const Finish> runs) {
  return real_->finish(runs);
}

Result<std::vector<Cancelled>> StoreWrapper::cancel(std::span<const JobId> ids) {
  return real_->cancel(ids);
}

std::vector<Result<Ticket>> StoreWrapper::retry(std::span<const JobId> ids) {
  return real_->retry(ids);
}

Result<std::vector<Ticket>> StoreWrapper::peek(const Demand& demand) {
  return real_->peek(demand);
}

Result<Swept> StoreWrapper::sweep(std::size_t max) { return real_->sweep(max); }

Result<std::vector<Ticket>> StoreWrapper::set_paused(std::string_view queue,
                                                     bool paused) {
  return real_->set_paused(queue, paused);
}

Result<std::vector<JobId>> StoreWrapper::await_final(std::span<const JobId> ids,
                                                     Duration wait) {
  return real_->await_final(ids, wait);
}

void StoreWrapper::announce(std::span<const Ticket> tickets) noexcept {
  real_->announce(tickets);
}
void StoreWrapper::interrupt() noexcept { real_->interrupt(); }

Monitor& StoreWrapper::monitor() noexcept { return real_->monitor(); }

}  // namespace carrel::conformance
