// A store that hands every call on to another one: what faults and recorders start from.
#pragma once

#include <carrel/store.h>

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace carrel::conformance {

// Threads, blocking, errors: as the real store's.
class StoreWrapper : public Store {
 public:
  explicit StoreWrapper(std::unique_ptr<Store> real);

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
  void announce(std::span<const Ticket> tickets) noexcept override;
  void interrupt() noexcept override;
  Monitor& monitor() noexcept override;

 protected:
  Store& real() noexcept { return *real_; }

 private:
  std::unique_ptr<Store> real_;
};

}  // namespace carrel::conformance
