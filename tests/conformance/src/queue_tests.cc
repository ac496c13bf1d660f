#include <gmock/gmock.h>

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "queue_case.h"

namespace carrel::conformance {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

void add_delivery_cases(QueueCases& cases) {
  cases.add("Receive_GivesATicketAsItWasPublished", [](QueueCase& t) {
    const Ticket sent = ticket((std::uint64_t{1} << 62) + 5, "grüße", "work", -32'768);
    const Ticket got = t.take_one(sent, {{}, kWork, 1});
    EXPECT_EQ(got.id, sent.id);
    EXPECT_EQ(got.queue, sent.queue);
    EXPECT_EQ(got.kind, sent.kind);
    EXPECT_EQ(got.priority, sent.priority);
  });

  cases.add("Receive_AnEmptyQueueIsSuccess", [](QueueCase& t) {
    EXPECT_THAT(t.take({{}, kWork, 4}), IsEmpty());
    EXPECT_THAT(t.take({{}, kWork, 4}, 10ms), IsEmpty());
  });

  cases.add("Receive_NoMoreThanAsked", [](QueueCase& t) {
    for (std::uint64_t id = 1; id <= 20; ++id) t.publish({ticket(id)});
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 200 && seen.size() < 20; ++i) {
      const auto ids = t.take_ids({{}, kWork, 3}, t.local() ? Duration{0} : 100ms);
      EXPECT_THAT(ids, SizeIs(testing::Le(3U)));
      seen.insert(ids.begin(), ids.end());
    }
    if (t.local()) {
      EXPECT_THAT(seen, SizeIs(20));
    }
    EXPECT_THAT(t.take({{}, kWork, 0}), IsEmpty());
  });

  cases.add("Receive_DemandNamesQueuesAndKinds", [](QueueCase& t) {
    const std::vector<std::string> a = {"a"};
    const std::vector<std::string> both = {"one", "two"};
    const std::vector<std::string> two = {"two"};
    t.publish({ticket(1, "a", "one"), ticket(2, "b", "one"), ticket(3, "a", "two"),
               ticket(4, "b", "two")});
    std::set<std::uint64_t> from_a;
    for (int i = 0; i < 20 && from_a.size() < 2; ++i) {
      for (const Ticket& got : t.take({a, both, 9}, 10ms)) {
        EXPECT_EQ(got.queue, "a");
        from_a.insert(value(got.id));
      }
    }
    for (const Ticket& got : t.take({{}, two, 9}, t.local() ? Duration{0} : 1s)) {
      EXPECT_EQ(got.kind, "two");
      EXPECT_EQ(got.id, JobId{4}) << "1 and 3 were settled";
    }
    EXPECT_THAT(t.take({{}, {}, 9}), IsEmpty()) << "no kinds: nothing may be taken";
    if (t.local()) {
      EXPECT_THAT(from_a, ElementsAre(1, 3));
      EXPECT_THAT(t.take_ids({{}, both, 9}), ElementsAre(2)) << "what nobody took stays";
    }
  });

  cases.add("Receive_LowerPriorityValuesFirst", [](QueueCase& t) {
    if (!t.queue().traits().prioritised) GTEST_SKIP() << "queue is not prioritised";
    if (!t.local()) GTEST_SKIP() << "queue reaches beyond its process: order may differ";
    t.publish({ticket(1, "default", "work", 5), ticket(2, "default", "work", -5),
               ticket(3, "b", "work", 0), ticket(4, "default", "work", -32'768),
               ticket(5, "b", "work", 32'767)});
    EXPECT_THAT(t.take_ids({{}, kWork, 9}), ElementsAre(4, 2, 3, 1, 5));
  });

  cases.add("Receive_EqualPriorityFirstComeFirstServed", [](QueueCase& t) {
    if (!t.local()) GTEST_SKIP() << "queue reaches beyond its process: order may differ";
    t.publish({ticket(8), ticket(3), ticket(5)});
    EXPECT_THAT(t.take_ids({{}, kWork, 2}), SizeIs(2));
    EXPECT_THAT(t.take_ids({{}, kWork, 2}), SizeIs(1));
  });

  cases.add("Invariant5_ATicketMayBePublishedTwice", [](QueueCase& t) {
    t.publish({ticket(1), ticket(1)});
    t.publish({ticket(1)});
    const auto ids = t.take_ids({{}, kWork, 9}, t.local() ? Duration{0} : 1s);
    for (std::uint64_t id : ids) EXPECT_EQ(id, 1U);
    if (t.local()) {
      EXPECT_THAT(ids, SizeIs(testing::Ge(1U)));
    }
    EXPECT_EQ(t.take_one(ticket(1), {{}, kWork, 1}).id, JobId{1})
        << "a job that was taken once may come again: it was retried";
  });

  cases.add("Settle_IsIdempotentAndBearsStrangers", [](QueueCase& t) {
    t.publish({ticket(1), ticket(2)});
    const auto got = must(t.queue().receive({{}, kWork, 1}, 1s));
    std::vector<std::uint64_t> receipts = {~std::uint64_t{0}, 0};
    for (const auto& d : got) receipts.push_back(d.receipt);
    t.queue().settle(receipts);
    t.queue().settle(receipts);
    t.queue().settle({});
    EXPECT_NE(t.take_one(ticket(3), {{}, kWork, 1}).id, JobId{});
  });
}

void add_wait_cases(QueueCases& cases) {
  cases.add("Receive_AWaitEndsWithThePublish", [](QueueCase& t) {
    auto waiting = std::async(std::launch::async, [&] {
      return t.take_ids({{}, kWork, 1}, kForever);
    });
    // A ticket may be lost, so it is sent until it arrived.
    do {
      t.queue().publish(std::vector{ticket(7)});
    } while (waiting.wait_for(50ms) != std::future_status::ready);
    EXPECT_THAT(waiting.get(), ElementsAre(7));
  });

  cases.add("Receive_AWaitIsNotEndedByOthersTickets", [](QueueCase& t) {
    auto waiting = std::async(std::launch::async, [&] {
      return t.take_ids({{}, kWork, 1}, kForever);
    });
    t.queue().publish(std::vector{ticket(1, "default", "other")});
    do {
      t.queue().publish(std::vector{ticket(2)});
    } while (waiting.wait_for(50ms) != std::future_status::ready);
    EXPECT_THAT(waiting.get(), ElementsAre(2));
  });

  cases.add("Receive_EachWaiterIsServed", [](QueueCase& t) {
    const std::vector<std::string> kinds[] = {{"one"}, {"two"}, {"three"}};
    std::vector<std::future<std::vector<std::uint64_t>>> waiters;
    waiters.reserve(3);
    for (const auto& kind : kinds) {
      waiters.push_back(std::async(std::launch::async, [&t, &kind] {
        return t.take_ids({{}, kind, 1}, kForever);
      }));
    }
    for (std::uint64_t i = 3; i-- > 0;) {
      do {
        t.queue().publish(std::vector{ticket(i + 1, "default", kinds[i].front())});
      } while (waiters[i].wait_for(50ms) != std::future_status::ready);
      EXPECT_THAT(waiters[i].get(), ElementsAre(i + 1));
    }
  });

  cases.add("Interrupt_WakesReceiveForEver", [](QueueCase& t) {
    std::vector<std::future<std::vector<std::uint64_t>>> waiters;
    waiters.reserve(4);
    for (int i = 0; i < 4; ++i) {
      waiters.push_back(std::async(std::launch::async, [&] {
        return t.take_ids({{}, kWork, 1}, kForever);
      }));
    }
    t.queue().interrupt();
    for (auto& w : waiters) EXPECT_THAT(w.get(), IsEmpty());
    must(t.queue().receive({{}, kWork, 1}, kForever));  // comes back at once
    t.queue().interrupt();
    must(t.queue().receive({{}, kWork, 1}, kForever));
  });
}

void add_bound_cases(QueueCases& cases) {
  cases.add("Publish_IsBoundedAndAnswersWithThePrefix", [](QueueCase& t) {
    constexpr std::size_t kFar = std::size_t{1} << 21;
    std::vector<Ticket> batch(1'000, ticket(0));
    std::size_t taken = 0;
    for (std::size_t at = 0; at < kFar; at += batch.size()) {
      for (std::size_t i = 0; i < batch.size(); ++i) batch[i].id = JobId{at + i + 1};
      const std::size_t n = t.queue().publish(batch);
      ASSERT_LE(n, batch.size());
      taken += n;
      if (n < batch.size()) break;
    }
    ASSERT_LT(taken, kFar) << "two million tickets, and no end of it";
    EXPECT_GT(taken, 0U);
    if (!t.local()) return;
    // What was taken is the prefix, and room that is made can be used.
    std::size_t received = 0;
    for (auto ids = t.take_ids({{}, kWork, 1'000}); !ids.empty();
         ids = t.take_ids({{}, kWork, 1'000})) {
      for (std::uint64_t id : ids) EXPECT_LE(id, taken);
      received += ids.size();
    }
    EXPECT_EQ(received, taken);
    t.publish({ticket(kFar + 1)});
  });

  cases.add("Publish_NothingIsNothing",
            [](QueueCase& t) { EXPECT_EQ(t.queue().publish({}), 0U); });

  cases.add("Backlog_CountsWhatWaitsForADemand", [](QueueCase& t) {
    if (!t.local()) {
      GTEST_SKIP() << "queue reaches beyond its process: it cannot know its backlog";
    }
    const std::vector<std::string> b = {"b"};
    const Demand work{{}, kWork, 9};
    EXPECT_EQ(t.queue().backlog(work), 0U);
    t.publish({ticket(1), ticket(2), ticket(3, "b"), ticket(4, "b", "other")});
    EXPECT_EQ(t.queue().backlog(work), 3U);
    EXPECT_EQ(t.queue().backlog({b, kWork, 9}), 1U);
    t.take({{}, kWork, 2});
    EXPECT_EQ(t.queue().backlog(work), 1U);
  });

  cases.add("Receive_ManyThreadsLoseNothingForEver", [](QueueCase& t) {
    constexpr std::uint64_t kTickets = 2'000;
    std::mutex mutex;
    std::condition_variable all_seen;
    std::set<std::uint64_t> seen;
    bool done = false;
    std::vector<std::jthread> threads;
    threads.reserve(8);
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (;;) {
          const auto ids = t.take_ids({{}, kWork, 16}, 10ms);
          const std::lock_guard lock(mutex);
          if (done) return;
          seen.insert(ids.begin(), ids.end());
          if (seen.size() == kTickets) all_seen.notify_one();
        }
      });
    }
    for (std::uint64_t i = 0; i < 4; ++i) {
      threads.emplace_back([&t, i] {
        for (std::uint64_t id = i + 1; id <= kTickets; id += 4) {
          t.queue().publish(std::vector{ticket(id)});
        }
      });
    }
    // What was lost on the way is published again, as the engine's peek does.
    std::unique_lock lock(mutex);
    for (int round = 0; round < 600; ++round) {
      if (all_seen.wait_for(lock, 100ms, [&] { return seen.size() == kTickets; })) break;
      for (std::uint64_t id = 1; id <= kTickets; ++id) {
        if (!seen.contains(id)) t.queue().publish(std::vector{ticket(id)});
      }
    }
    done = true;
    lock.unlock();
    threads.clear();
    EXPECT_THAT(seen, SizeIs(kTickets));
  });
}

}  // namespace

void register_queue_tests(QueueHarness harness) {
  const std::string suite = harness.name + "/Queue";
  QueueCases cases(suite, std::move(harness));
  add_delivery_cases(cases);
  add_wait_cases(cases);
  add_bound_cases(cases);
  add_demand_cases(cases);
}

}  // namespace carrel::conformance
