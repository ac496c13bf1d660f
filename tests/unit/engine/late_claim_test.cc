// A claim whose answer comes late: its lease has been running since the store granted it.
#include <carrel/clock.h>
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLease = 4s;
constexpr Duration kLate = kLease * 7 / 10;  // before the lease is fenced

struct Way {
  std::atomic<Duration> granted{Duration{0}};  // of the first job
  std::atomic<bool> away{false};               // beats do not come through
  std::promise<bool> first_beat;               // of the run: it renews
  std::atomic<bool> beaten{false};
};

// What it gives was granted a while ago.
class LateSource final : public ClaimSource {
 public:
  LateSource(std::unique_ptr<ClaimSource> real, std::shared_ptr<Way> way)
      : real_(std::move(real)), way_(std::move(way)) {}
  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override {
    auto jobs = real_->claim(demand, worker, claim_number, lease, wait);
    for (Claimed& job : *jobs) {
      job.granted -= kLate;
      if (way_->granted.load() == Duration{0}) way_->granted = job.granted;
    }
    return jobs;
  }
  void interrupt() noexcept override { real_->interrupt(); }

 private:
  std::unique_ptr<ClaimSource> real_;
  std::shared_ptr<Way> way_;
};

class LateStore final : public conformance::StoreWrapper {
 public:
  LateStore(std::unique_ptr<Store> real, std::shared_ptr<Way> way)
      : StoreWrapper(std::move(real)), way_(std::move(way)) {}
  std::unique_ptr<ClaimSource> claim_source() override {
    return std::make_unique<LateSource>(real().claim_source(), way_);
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    if (!beats.empty() && !way_->beaten.exchange(true)) way_->first_beat.set_value(renew);
    if (way_->away) return fail(Code::kUnavailable, "away", "late");
    return real().beat(worker, settled, beats, renew, lease);
  }

 private:
  std::shared_ptr<Way> way_;
};

class LateClaim : public testing::Test {
 protected:
  Engine open() {
    Registry registry = Registry::with_builtins();
    registry.add_store(
        "late",
        [way = way_](const Url&,
                     const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
          return std::make_unique<LateStore>(make_memory_store(options), way);
        });
    Config config = memory_config();
    config.worker.lease = kLease;
    config.store = "late:";
    return Engine::open(config, registry).value();
  }

  const std::shared_ptr<Way> way_ = std::make_shared<Way>();
};

TEST_F(LateClaim, ItsRunEndsBeforeOthersMayHaveTheJob) {
  way_->away = true;
  std::promise<Duration> told;
  Engine engine = open();
  engine.handle("work", [&](Context& job) {
    Gate gate;
    const std::stop_callback wake(job.stop(), [&] { gate.open(); });
    gate.pass();
    if (job.attempt() == 1) told.set_value(boot_time());
  });
  ASSERT_TRUE(engine.enqueue("work"));
  ASSERT_TRUE(engine.start());
  const Duration at = told.get_future().get();
  EXPECT_LT(at - way_->granted.load(), kLease);
  engine.stop(1s);
}

TEST_F(LateClaim, ItsLeaseIsRenewedByTheFirstBeat) {
  Gate gate;
  Engine engine = open();
  engine.handle("work", [&](Context&) { gate.pass(); });
  const auto id = engine.enqueue("work").value();
  ASSERT_TRUE(engine.start());
  EXPECT_TRUE(way_->first_beat.get_future().get());
  gate.open();
  ASSERT_TRUE(engine.wait(id, kLong));
}

}  // namespace
}  // namespace carrel
