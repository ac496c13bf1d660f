#include "ticket_source.h"

#include <carrel/clock.h>
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carrel {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kKind = {"kind"};

JobId insert(Store& store, const std::string& kind,
             const std::string& queue = "default") {
  NewJob job;
  job.kind = kind;
  job.queue = queue;
  job.payload = "{}";
  return store.insert({&job, 1}, 1min).at(0).value().id;
}

std::vector<JobId> ids_of(const Result<std::vector<Claimed>>& jobs) {
  std::vector<JobId> ids;
  EXPECT_TRUE(jobs);
  for (const Claimed& job : jobs.value()) ids.push_back(job.lease.id);
  return ids;
}

// A queue that is away, or takes tickets and never brings them, as the test says.
class IllQueue final : public Queue {
 public:
  QueueTraits traits() const noexcept override { return {}; }
  std::size_t publish(std::span<const Ticket> tickets) noexcept override {
    published += tickets.size();
    return tickets.size();
  }
  Result<std::vector<Delivery>> receive(const Demand&, Duration) override {
    ++asked;
    if (away) return fail(Code::kUnavailable, "the broker is away", "ill");
    return std::vector<Delivery>{};
  }
  void settle(std::span<const std::uint64_t>) noexcept override {}
  std::size_t backlog(const Demand&) const noexcept override { return 0; }
  void interrupt() noexcept override {}

  std::atomic<bool> away{false};
  std::size_t published = 0;
  std::size_t asked = 0;
};

class TicketSourceTest : public testing::Test {
 protected:
  TicketSource source_on(Queue& queue, Duration poll = 1h, Duration ask_away = 1h) {
    return {queue, *store_, poll,
            [this](LogLevel level, std::string_view) {
              if (level == LogLevel::kError) ++complaints_;
            },
            ask_away};
  }
  const std::unique_ptr<Store> store_ = make_memory_store({});
  int complaints_ = 0;
};

TEST_F(TicketSourceTest, TicketsOfAKindThatNobodyTakesStopNoOtherKind) {
  const auto queue = make_memory_queue(2);
  const std::array full = {Ticket{insert(*store_, "other"), "default", "other"},
                           Ticket{insert(*store_, "other"), "default", "other"}};
  ASSERT_EQ(queue->publish(full), 2U);
  const std::vector<JobId> ids = {insert(*store_, "kind"), insert(*store_, "kind"),
                                  insert(*store_, "kind")};
  TicketSource source = source_on(*queue);
  EXPECT_EQ(ids_of(source.claim({{}, kKind, 2}, "w", 1, 1min, 0s)),
            (std::vector{ids[0], ids[1]}));
  EXPECT_EQ(ids_of(source.claim({{}, kKind, 2}, "w", 2, 1min, 0s)),
            (std::vector{ids[2]}));
}

TEST_F(TicketSourceTest, WhatTheQueueDidNotTakeKeepsToOrderAndBounds) {
  const auto queue = make_memory_queue(1);
  const Ticket full{insert(*store_, "other"), "default", "other"};
  ASSERT_EQ(queue->publish({&full, 1}), 1U);
  const JobId second = insert(*store_, "kind", "second");
  const JobId first = insert(*store_, "kind", "first");
  insert(*store_, "kind", "first");
  const std::vector<std::string> queues = {"first", "second"};
  const std::vector<QueueBound> one = {{"first", 1}};
  const std::vector<QueueBound> none = {{"first", 0}};
  TicketSource source = source_on(*queue);
  EXPECT_EQ(ids_of(source.claim({queues, kKind, 3, true, one}, "w", 1, 1min, 0s)),
            (std::vector{first, second}));
  auto waits = std::async(std::launch::async, [&] {
    return ids_of(source.claim({queues, kKind, 3, true, none}, "w", 2, 1min, 1h));
  });
  source.interrupt();
  EXPECT_TRUE(waits.get().empty());
}

TEST_F(TicketSourceTest, WhatTheQueueTakesAndDoesNotBringIsClaimedAllTheSame) {
  IllQueue queue;
  const JobId id = insert(*store_, "kind");
  TicketSource source = source_on(queue);
  EXPECT_EQ(ids_of(source.claim({{}, kKind, 1}, "w", 1, 1min, 1h)), std::vector{id});
  EXPECT_EQ(queue.published, 1U);
}

TEST_F(TicketSourceTest, WhileTheQueueIsAwayTheStoreIsLookedAt) {
  IllQueue queue;
  queue.away = true;
  const std::vector<JobId> ids = {insert(*store_, "kind"), insert(*store_, "kind")};
  TicketSource source = source_on(queue);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(ids_of(source.claim({{}, kKind, 1}, "w", i + 1, 1min, 1h)),
              std::vector{ids[i]});
  }
  EXPECT_EQ(queue.asked, 1U) << "asked again only after `poll`";
  EXPECT_EQ(complaints_, 1);
  auto waits = std::async(std::launch::async, [&] {
    return ids_of(source.claim({{}, kKind, 1}, "w", 3, 1min, 1h));
  });
  source.interrupt();
  EXPECT_TRUE(waits.get().empty()) << "who waits for it can be woken";
}

TEST_F(TicketSourceTest, WhatTheStoreHasWaitsForNoQueueThatIsAway) {
  IllQueue queue;
  queue.away = true;
  const std::vector<JobId> ids = {insert(*store_, "kind"), insert(*store_, "kind")};
  TicketSource source = source_on(queue, 0s);  // it is time to ask it again, always
  EXPECT_TRUE(ids_of(source.claim({{}, kKind, 1}, "w", 1, 1min, 0s)).empty());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(ids_of(source.claim({{}, kKind, 1}, "w", i + 2, 1min, 0s)),
              std::vector{ids[i]});
  }
  EXPECT_EQ(queue.asked, 1U) << "who asks a broker that is frozen waits for it";
}

// However long the store has jobs at hand.
TEST_F(TicketSourceTest, AQueueThatAnswersAgainIsNoticedDuringABacklog) {
  IllQueue queue;
  queue.away = true;
  for (int i = 0; i < 3; ++i) insert(*store_, "kind");
  TicketSource source = source_on(queue, 0s, 0s);
  EXPECT_TRUE(ids_of(source.claim({{}, kKind, 1}, "w", 1, 1min, 0s)).empty());
  queue.away = false;
  EXPECT_EQ(ids_of(source.claim({{}, kKind, 1}, "w", 2, 1min, 0s)).size(), 1U);
  EXPECT_EQ(queue.asked, 2U);
  queue.away = true;
  EXPECT_EQ(ids_of(source.claim({{}, kKind, 1}, "w", 3, 1min, 0s)).size(), 1U);
  EXPECT_EQ(complaints_, 2) << "it was back";
}

TEST_F(TicketSourceTest, AQueueThatAnswersAgainIsUsedAgain) {
  IllQueue queue;
  queue.away = true;
  TicketSource source = source_on(queue, 0s);
  EXPECT_TRUE(ids_of(source.claim({{}, kKind, 1}, "w", 1, 1min, 0s)).empty());
  queue.away = false;
  EXPECT_TRUE(ids_of(source.claim({{}, kKind, 1}, "w", 2, 1min, 0s)).empty());
  EXPECT_EQ(queue.asked, 2U);
  EXPECT_EQ(complaints_, 1);
  insert(*store_, "kind");
  ASSERT_TRUE(source.claim({{}, kKind, 1}, "w", 3, 1min, 0s));
  EXPECT_EQ(queue.published, 1U);
  queue.away = true;
  ASSERT_TRUE(source.claim({{}, kKind, 1}, "w", 4, 1min, 0s));
  EXPECT_EQ(complaints_, 2);
}

// Where a broker's tickets outlive the store that they are of, or two stores share one, a
// number is that of another job.
TEST_F(TicketSourceTest, AJobOfAnotherKindThanItsTicketDoesNotRunAndIsFreeAgain) {
  const auto queue = make_memory_queue();
  const JobId id = insert(*store_, "other");
  const std::array ticket = {Ticket{id, "default", "kind"}};
  ASSERT_EQ(queue->publish(ticket), 1U);
  TicketSource source = source_on(*queue);
  const auto jobs = source.claim({{}, kKind, 1}, "w", 1, 1min, 0s);
  ASSERT_TRUE(jobs) << jobs.error().message;
  EXPECT_TRUE(jobs->empty());
  ASSERT_TRUE(store_->beat("w", 1, {}, true, 1min));
  const JobRecord record = store_->monitor().job(id).value();
  EXPECT_EQ(record.state, State::kAvailable);
  EXPECT_EQ(record.attempt, 0);
}

// When it is asked for jobs.
class WatchedStore final : public conformance::StoreWrapper {
 public:
  WatchedStore() : StoreWrapper(make_memory_store({})) {}
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker,
                                         std::uint64_t claim_number,
                                         Duration lease) override {
    asked = boot_time();
    return StoreWrapper::claim(tickets, worker, claim_number, lease);
  }
  Duration asked{0};
};

TEST(TicketSource, ALeaseLastsFromBeforeTheStoreIsAsked) {
  WatchedStore store;
  insert(store, "kind");
  const auto queue = make_memory_queue(2);
  TicketSource source(*queue, store, 1h, [](LogLevel, std::string_view) {});
  const Duration before = boot_time();
  const auto jobs = source.claim({{}, kKind, 1}, "w", 1, 1min, 0s);
  ASSERT_TRUE(jobs);
  ASSERT_EQ(jobs->size(), 1U);
  EXPECT_GE(jobs->front().granted, before);
  EXPECT_LE(jobs->front().granted, store.asked);
}

}  // namespace
}  // namespace carrel
