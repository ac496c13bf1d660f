#include "counting_store.h"

#include <algorithm>

namespace convert_web {
namespace {

using namespace carrel;

class CountingStore final : public Store {
 public:
  CountingStore(std::unique_ptr<Store> store, std::shared_ptr<Writes> writes)
      : store_(std::move(store)), writes_(std::move(writes)) {}

  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    ++writes_->beats;
    const auto moved = [](const Beat& beat) { return beat.progress.has_value(); };
    if (std::any_of(beats.begin(), beats.end(), moved)) ++writes_->progress;
    return store_->beat(worker, settled_claim, beats, renew, lease);
  }

  // The rest is the other one's.
  StoreTraits traits() const noexcept override { return store_->traits(); }
  std::unique_ptr<ClaimSource> claim_source() override { return store_->claim_source(); }
  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration deadline) override {
    return store_->insert(jobs, deadline);
  }
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker, std::uint64_t number,
                                         Duration lease) override {
    return store_->claim(tickets, worker, number, lease);
  }
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override {
    return store_->finish(runs);
  }
  Result<std::vector<Cancelled>> cancel(std::span<const JobId> ids) override {
    return store_->cancel(ids);
  }
  std::vector<Result<Ticket>> retry(std::span<const JobId> ids) override {
    return store_->retry(ids);
  }
  Result<std::vector<Ticket>> peek(const Demand& demand) override {
    return store_->peek(demand);
  }
  Result<Swept> sweep(std::size_t max) override { return store_->sweep(max); }
  Result<std::vector<Ticket>> set_paused(std::string_view queue, bool paused) override {
    return store_->set_paused(queue, paused);
  }
  Result<std::vector<JobId>> await_final(std::span<const JobId> ids,
                                         Duration wait) override {
    return store_->await_final(ids, wait);
  }
  void announce(std::span<const Ticket> tickets) noexcept override {
    store_->announce(tickets);
  }
  void interrupt() noexcept override { store_->interrupt(); }
  Monitor& monitor() noexcept override { return store_->monitor(); }

 private:
  const std::unique_ptr<Store> store_;
  const std::shared_ptr<Writes> writes_;
};

}  // namespace

void add_counting_store(Registry& registry, std::shared_ptr<Writes> writes) {
  // Loads the module of the other one no earlier than the engine would.
  auto inner = std::make_shared<Registry>(Registry::with_builtins());
  registry.add_store(
      "counting",
      [inner, writes](const Url& url,
                      const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
        const auto other = Url::parse(url.text.substr(url.text.find(':') + 1));
        if (!other) return tl::unexpected(other.error());
        const auto make = inner->store(other->scheme);
        if (!make) return tl::unexpected(make.error());
        auto store = (**make)(*other, options);
        if (!store) return tl::unexpected(store.error());
        return std::make_unique<CountingStore>(std::move(*store), writes);
      });
}

}  // namespace convert_web
