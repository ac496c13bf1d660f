// From when a lease lasts that a broker has granted, whatever it says of that.
#include <carrel/clock.h>
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>
#include <gtest/gtest.h>

#include "../sql/sqlite_files.h"
#include "hosted.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;

// Grants at another time than it says.
class OddSource final : public ClaimSource {
 public:
  OddSource(std::unique_ptr<ClaimSource> real, Duration off)
      : real_(std::move(real)), off_(off) {}
  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override {
    auto jobs = real_->claim(demand, worker, claim_number, lease, wait);
    if (jobs) {
      for (Claimed& job : *jobs) job.granted += off_;
    }
    return jobs;
  }
  void interrupt() noexcept override { real_->interrupt(); }

 private:
  const std::unique_ptr<ClaimSource> real_;
  const Duration off_;
};

class OddStore final : public conformance::StoreWrapper {
 public:
  explicit OddStore(Duration off) : StoreWrapper(make_memory_store({})), off_(off) {}
  std::unique_ptr<ClaimSource> claim_source() override {
    return std::make_unique<OddSource>(StoreWrapper::claim_source(), off_);
  }

 private:
  const Duration off_;
};

TEST(Granted, NeverBeforeItWasAskedForNorAfterItsAnswer) {
  for (const Duration off : {Duration(-1h), Duration(0), Duration(1h)}) {
    const auto broker = test::start_broker(std::make_unique<OddStore>(off));
    const auto store = test::open_store(test::url_of(*broker)).value();
    test::insert_jobs(*store, 1);
    const auto source = store->claim_source();
    const Duration asked = boot_time();
    const auto runs = source->claim({{}, test::kWork, 1}, "w", 1, 1h, 0s).value();
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_GE(runs[0].granted, asked) << off.count();
    EXPECT_LE(runs[0].granted, boot_time()) << off.count();
  }
}

}  // namespace
}  // namespace carrel::zmq
