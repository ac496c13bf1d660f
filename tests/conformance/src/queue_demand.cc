// What a demand says of queues: a worker's order, and how many of each it has room for.
#include <carrel/demand.h>
#include <gmock/gmock.h>

#include <future>
#include <map>

#include "queue_case.h"

namespace carrel::conformance {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

using Names = std::vector<std::string>;
using Bounds = std::vector<QueueBound>;

const Names kPullsFirst = {"pull", "push"};
const Names kPushesFirst = {"push", "pull"};

void add_order_cases(QueueCases& cases) {
  cases.add("Order_AnEarlierQueueGoesFirstWhateverThePriorities", [](QueueCase& t) {
    if (!t.local()) GTEST_SKIP() << "queue reaches beyond its process: order may differ";
    t.publish({ticket(1, "push", "work", -5), ticket(2, "elsewhere"),
               ticket(3, "pull", "work", 5), ticket(4, "push", "work", -5),
               ticket(5, "pull", "work", 5)});
    EXPECT_THAT(t.take_ids({kPullsFirst, kWork, 9, true}), ElementsAre(3, 5, 1, 4));
  });

  // However late tickets come: a delivery that has several is in order.
  cases.add("Order_HoldsWithinADelivery", [](QueueCase& t) {
    const Demand demand{kPullsFirst, kWork, 9, true};
    std::size_t most = 0;
    for (std::uint64_t id = 1; id < 400 && most < 2; id += 4) {
      t.publish({ticket(id, "push", "work", -5), ticket(id + 1, "pull", "work", 5),
                 ticket(id + 2, "push", "work", -9), ticket(id + 3, "pull")});
      std::size_t rank = 0;
      const auto taken = t.take(demand, 100ms);
      for (const Ticket& got : taken) {
        EXPECT_GE(rank_of(demand, got.queue), rank);
        rank = rank_of(demand, got.queue);
      }
      most = std::max(most, taken.size());
    }
    EXPECT_GE(most, 2U) << "of 400 tickets no two came together";
  });

  // As a worker's claims by weight are: each demand has an order of its own.
  cases.add("Order_IsTheDemandsOwn", [](QueueCase& t) {
    if (!t.local()) GTEST_SKIP() << "queue reaches beyond its process: order may differ";
    t.publish({ticket(1, "push"), ticket(2, "pull"), ticket(3, "push"), ticket(4, "pull"),
               ticket(5, "push"), ticket(6, "pull")});
    EXPECT_THAT(t.take_ids({kPullsFirst, kWork, 1, true}), ElementsAre(2));
    EXPECT_THAT(t.take_ids({kPushesFirst, kWork, 2, true}), ElementsAre(1, 3));
    EXPECT_THAT(t.take_ids({kPullsFirst, kWork, 1, true}), ElementsAre(4));
    EXPECT_THAT(t.take_ids({kPushesFirst, kWork, 9, true}), ElementsAre(5, 6));
  });

  // The later queue's is there each time, and the better by priority and age.
  cases.add("Order_ATicketOfTheEarlierQueueOvertakes", [](QueueCase& t) {
    for (int i = 0; i < 100; ++i) {
      t.queue().publish(std::vector{ticket(1, "push", "work", -5)});
      t.queue().publish(std::vector{ticket(2, "pull", "work", 5)});
      const auto taken = t.take({kPullsFirst, kWork, 1, true}, 100ms);
      if (!taken.empty() && taken.front().queue == "pull") return;
    }
    ADD_FAILURE() << "100 times the later queue's ticket went first";
  });
}

void add_demand_bound_cases(QueueCases& cases) {
  cases.add("Bound_NoMoreOfAQueueThanItSays", [](QueueCase& t) {
    const Bounds bounds = {{"a", 2}};
    for (std::uint64_t id = 1; id <= 5; ++id) t.publish({ticket(id, "a", "work", -1)});
    for (std::uint64_t id = 6; id <= 8; ++id) t.publish({ticket(id, "b")});
    std::map<std::string, std::size_t> seen;
    for (int i = 0; i < 100 && (seen["a"] < 5 || seen["b"] < 3); ++i) {
      std::map<std::string, std::size_t> taken;
      for (const Ticket& got :
           t.take({{}, kWork, 9, false, bounds}, t.local() ? Duration{0} : 20ms)) {
        ++taken[got.queue];
        ++seen[got.queue];
      }
      EXPECT_LE(taken["a"], 2U);
      if (t.local() && i == 0) {
        EXPECT_EQ(taken["a"], 2U);
        EXPECT_EQ(taken["b"], 3U);
      }
    }
    if (t.local()) {
      EXPECT_EQ(seen["a"], 5U) << "a bound holds for its demand";
    }
  });

  cases.add("Bound_TheBestOfTheQueueGo", [](QueueCase& t) {
    if (!t.queue().traits().prioritised) GTEST_SKIP() << "queue is not prioritised";
    if (!t.local()) GTEST_SKIP() << "queue reaches beyond its process: order may differ";
    const Bounds bounds = {{"a", 2}};
    t.publish({ticket(1, "a", "work", 3), ticket(2, "a", "work", 1),
               ticket(3, "a", "work", 2)});
    EXPECT_THAT(t.take_ids({{}, kWork, 9, false, bounds}), ElementsAre(2, 3));
  });

  cases.add("Bound_OfZeroLeavesAQueueOut", [](QueueCase& t) {
    const Names a = {"a"};
    const Bounds bounds = {{"a", 0}};
    t.publish({ticket(1, "a")});
    EXPECT_THAT(t.take({{}, kWork, 9, false, bounds}, 10ms), IsEmpty());
    EXPECT_THAT(t.take({a, kWork, 9, false, bounds}, 10ms), IsEmpty());
    EXPECT_EQ(t.take_one(ticket(2, "b", "work", 9), {{}, kWork, 9, false, bounds}).queue,
              "b");
    EXPECT_EQ(t.take_one(ticket(1, "a"), {a, kWork, 1}).id, JobId{1});
  });

  cases.add("Bound_AndOrderTogether", [](QueueCase& t) {
    if (!t.local()) GTEST_SKIP() << "queue reaches beyond its process: order may differ";
    const Bounds bounds = {{"pull", 1}};
    t.publish(
        {ticket(1, "push"), ticket(2, "push"), ticket(3, "pull"), ticket(4, "pull")});
    EXPECT_THAT(t.take_ids({kPullsFirst, kWork, 3, true, bounds}), ElementsAre(3, 1, 2));
    EXPECT_THAT(t.take_ids({kPullsFirst, kWork, 3, true, bounds}), ElementsAre(4));
  });

  cases.add("Bound_AWaitIsNotEndedByAQueueThatIsLeftOut", [](QueueCase& t) {
    auto waiting = std::async(std::launch::async, [&] {
      const Bounds bounds = {{"a", 0}};
      return t.take_ids({{}, kWork, 1, false, bounds}, kForever);
    });
    t.queue().publish(std::vector{ticket(1, "a")});
    do {
      t.queue().publish(std::vector{ticket(2, "b")});
    } while (waiting.wait_for(50ms) != std::future_status::ready);
    EXPECT_THAT(waiting.get(), ElementsAre(2));
  });

  // Else a queue that is full here would be topped up for ever, or another never.
  cases.add("Bound_OfZeroLeavesAQueueOutOfTheBacklog", [](QueueCase& t) {
    if (!t.local()) {
      GTEST_SKIP() << "queue reaches beyond its process: it cannot know its backlog";
    }
    const Bounds bounds = {{"a", 0}};
    t.publish({ticket(1, "a"), ticket(2, "a"), ticket(3, "b")});
    EXPECT_EQ(t.queue().backlog({{}, kWork, 9, false, bounds}), 1U);
    EXPECT_EQ(t.queue().backlog({{}, kWork, 9}), 3U);
  });
}

}  // namespace

void add_demand_cases(QueueCases& cases) {
  add_order_cases(cases);
  add_demand_bound_cases(cases);
}

}  // namespace carrel::conformance
