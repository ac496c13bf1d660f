// A nudge ends one claim, and is forgotten then.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/nudge.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ticket_source.h"
#include "worker_source.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kKinds = {"kind"};
const Demand kDemand{{}, kKinds, 1};

class Waiting final : public ClaimSource {
 public:
  Result<std::vector<Claimed>> claim(const Demand& /*demand*/,
                                     std::string_view /*worker*/,
                                     std::uint64_t /*number*/, Duration /*lease*/,
                                     Duration wait) override {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, wait, [&] { return interrupted_; });
    return std::vector<Claimed>();
  }
  void interrupt() noexcept override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool interrupted_ = false;
};

// Its claims find nothing, but for those by ticket.
class EmptyStore final : public conformance::StoreWrapper {
 public:
  EmptyStore() : StoreWrapper(nullptr) {}
  std::unique_ptr<ClaimSource> claim_source() override {
    ++sources;
    return std::make_unique<Waiting>();
  }
  Result<std::vector<Ticket>> peek(const Demand& /*demand*/) override {
    return std::vector<Ticket>();
  }
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view /*worker*/,
                                         std::uint64_t /*number*/,
                                         Duration /*lease*/) override {
    std::vector<ClaimAnswer> answers;
    for (const Ticket& ticket : tickets) {
      Claimed job;
      job.lease.id = ticket.id;
      job.kind = ticket.kind;
      answers.emplace_back(std::move(job));
    }
    return answers;
  }
  int sources = 0;
};

std::size_t claimed(ClaimSource& source, Duration wait) {
  const auto jobs = source.claim(kDemand, "worker", 1, 1min, wait);
  return jobs ? jobs->size() : 99;
}

TEST(NudgeTest, OfTheStoresOwnSourceEndsOneClaim) {
  EmptyStore store;
  FusedSource source(store);
  source.nudge();
  EXPECT_EQ(claimed(source, 1h), 0U);  // it is over, too
  EXPECT_EQ(store.sources, 2);
  EXPECT_EQ(claimed(source, 0s), 0U);
  ASSERT_EQ(store.sources, 2) << "the nudge was for the claim before";
  source.nudge();
  EXPECT_EQ(claimed(source, 1h), 0U);
  EXPECT_EQ(store.sources, 3);
}

TEST(NudgeTest, BesideAnInterruptLeavesThatForEver) {
  EmptyStore store;
  FusedSource source(store);
  source.nudge();
  source.interrupt();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(claimed(source, 1h), 0U);
}

// Has a ticket at the third look, and is nudged during the first.
class SlowQueue final : public Queue, public Nudge {
 public:
  QueueTraits traits() const noexcept override { return {}; }
  std::size_t publish(std::span<const Ticket> tickets) noexcept override {
    return tickets.size();
  }
  Result<std::vector<Delivery>> receive(const Demand& /*demand*/,
                                        Duration /*wait*/) override {
    ++looks;
    if (looks == 1) source->nudge();
    std::vector<Delivery> found;
    if (looks == 3) found.push_back({Ticket{JobId{1}, "default", "kind"}, 1});
    return found;
  }
  void settle(std::span<const std::uint64_t> /*receipts*/) noexcept override {}
  std::size_t backlog(const Demand& /*demand*/) const noexcept override { return 0; }
  void interrupt() noexcept override {}
  void nudge() noexcept override { ++nudges; }
  WorkerSource* source = nullptr;
  int looks = 0;
  int nudges = 0;
};

TEST(NudgeTest, OfTicketsEndsOneClaim) {
  EmptyStore store;
  SlowQueue queue;
  TicketSource source(queue, store, 1h, [](LogLevel, std::string_view) {});
  queue.source = &source;
  EXPECT_EQ(claimed(source, 1h), 0U);
  EXPECT_EQ(queue.nudges, 1);
  EXPECT_EQ(claimed(source, 1h), 1U) << "an empty look is not the end of a claim";
  EXPECT_EQ(queue.looks, 3);
}

}  // namespace
}  // namespace carrel
