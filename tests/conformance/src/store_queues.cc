// Claims over several queues: in an order, no more of one than a demand says, and no more
// of one at once than the store is told.
#include "store_queues.h"

#include <carrel/demand.h>
#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <map>
#include <thread>

namespace carrel::conformance {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

using Names = std::vector<std::string>;
using Bounds = std::vector<QueueBound>;

const Names kPullsFirst = {"pull", "push"};

JobId insert_in(StoreCase& t, std::string queue, std::int16_t priority = 0,
                std::string kind = "work", std::optional<Limit> limit = {}) {
  NewJob job = StoreCase::job();
  job.queue = std::move(queue);
  job.kind = std::move(kind);
  job.priority = priority;
  job.limit = std::move(limit);
  t.advance(1ms);
  return t.insert(job);
}

std::vector<JobId> jobs_of(const std::vector<Claimed>& runs) {
  std::vector<JobId> ids;
  for (const Claimed& run : runs) ids.push_back(run.lease.id);
  return ids;
}

// How many of each queue.
std::map<std::string, int> queues_of(const std::vector<Claimed>& runs) {
  std::map<std::string, int> counts;
  for (const Claimed& run : runs) ++counts[run.queue];
  return counts;
}

// What the two ways to find jobs say of a demand: the source takes them, peek does not.
class Asking {
 public:
  explicit Asking(StoreCase& t) : t_(t), source_(t.store().claim_source()) {}

  std::vector<JobId> peek(const Demand& demand) {
    return ids_of(must(t_.store().peek(demand)));
  }
  std::vector<Claimed> take(const Demand& demand) {
    return must(source_->claim(demand, kWorker, ++number_, kLease, 0us));
  }
  bool has_source() const { return source_ != nullptr; }

 private:
  StoreCase& t_;
  std::unique_ptr<ClaimSource> source_;
  std::uint64_t number_ = 10'000;
};

using Body = std::function<void(StoreCase&, Asking&)>;

// Cases that claim by the store's own source; where it has none, peek must do.
void add(StoreCases& cases, const char* name, Body body,
         const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  cases.add(
      name,
      [body = std::move(body)](StoreCase& t) {
        Asking asking(t);
        if (!asking.has_source()) GTEST_SKIP() << "the store is no queue";
        body(t, asking);
      },
      file, line);
}

void add_order_cases(StoreCases& cases) {
  add(cases, "Order_AnEarlierQueueGoesFirstWhateverThePriority",
      [](StoreCase& t, Asking& ask) {
        const JobId push = insert_in(t, "push", -5);
        const JobId pull = insert_in(t, "pull", 5);
        const Demand demand{kPullsFirst, kWork, 9, true};
        EXPECT_THAT(ask.peek(demand), ElementsAre(pull, push));
        EXPECT_THAT(jobs_of(ask.take(demand)), ElementsAre(pull, push));
      });

  add(cases, "Order_WithoutItTheBestJobOfAllGoesFirst", [](StoreCase& t, Asking& ask) {
    const JobId push = insert_in(t, "push", -5);
    const JobId pull = insert_in(t, "pull", 5);
    const Demand demand{kPullsFirst, kWork, 9};
    EXPECT_THAT(ask.peek(demand), ElementsAre(push, pull));
    EXPECT_THAT(jobs_of(ask.take(demand)), ElementsAre(push, pull));
  });

  add(cases, "Order_WithinAQueueByPriorityThenAge", [](StoreCase& t, Asking& ask) {
    const JobId late = insert_in(t, "pull", 3);
    const JobId second = insert_in(t, "pull", 1);
    const JobId third = insert_in(t, "pull", 1);
    const JobId first = insert_in(t, "pull", -1);
    const JobId push = insert_in(t, "push", -9);
    const Demand demand{kPullsFirst, kWork, 9, true};
    EXPECT_THAT(ask.peek(demand), ElementsAre(first, second, third, late, push));
    EXPECT_THAT(jobs_of(ask.take(demand)), ElementsAre(first, second, third, late, push));
  });

  add(cases, "Order_OneClaimFillsUpFromLaterQueues", [](StoreCase& t, Asking& ask) {
    const JobId push1 = insert_in(t, "push");
    const JobId push2 = insert_in(t, "push");
    insert_in(t, "push");
    const JobId pull = insert_in(t, "pull");
    EXPECT_THAT(jobs_of(ask.take({kPullsFirst, kWork, 3, true})),
                ElementsAre(pull, push1, push2));
  });

  add(cases, "Order_NoneOfALaterQueueWhileAnEarlierHasMore",
      [](StoreCase& t, Asking& ask) {
        for (int i = 0; i < 4; ++i) insert_in(t, "push", -1);
        for (int i = 0; i < 4; ++i) insert_in(t, "pull", 1);
        for (int i = 0; i < 2; ++i) {
          EXPECT_THAT(queues_of(ask.take({kPullsFirst, kWork, 2, true})),
                      ElementsAre(testing::Pair("pull", 2)));
        }
        EXPECT_THAT(queues_of(ask.take({kPullsFirst, kWork, 9, true})),
                    ElementsAre(testing::Pair("push", 4)));
      });

  add(cases, "Order_APausedQueueIsPassedOver", [](StoreCase& t, Asking& ask) {
    const JobId pull = insert_in(t, "pull");
    const JobId push = insert_in(t, "push");
    t.pause("pull");
    EXPECT_THAT(jobs_of(ask.take({kPullsFirst, kWork, 9, true})), ElementsAre(push));
    t.resume("pull");
    EXPECT_THAT(jobs_of(ask.take({kPullsFirst, kWork, 9, true})), ElementsAre(pull));
  });

  add(cases, "Order_OfManyQueuesAndKinds", [](StoreCase& t, Asking& ask) {
    Names queues;
    const Names kinds = {"one", "two"};
    std::vector<JobId> expected(40);
    for (int i = 0; i < 20; ++i) queues.push_back("q" + std::to_string(19 - i));
    for (std::size_t i = 0; i < 20; ++i) {  // the last first, and the second kind
      expected[38 - 2 * i] = insert_in(t, queues[19 - i], 0, "two");
      expected[39 - 2 * i] = insert_in(t, queues[19 - i], 0, "one");
    }
    EXPECT_EQ(ask.peek({queues, kinds, 99, true}), expected);
    EXPECT_EQ(jobs_of(ask.take({queues, kinds, 15, true})),
              std::vector(expected.begin(), expected.begin() + 15));
    EXPECT_EQ(jobs_of(ask.take({queues, kinds, 99, true})),
              std::vector(expected.begin() + 15, expected.end()));
  });

  add(cases, "Order_AmongJobsWithLimits", [](StoreCase& t, Asking& ask) {
    if (!t.traits().limits) GTEST_SKIP() << "the store has no limits";
    const JobId plain_push = insert_in(t, "push", -3);
    const JobId push = insert_in(t, "push", -2, "work", Limit{"a", 1});
    const JobId pull = insert_in(t, "pull", 1, "work", Limit{"b", 1});
    const JobId plain_pull = insert_in(t, "pull", 2);
    const JobId held = insert_in(t, "pull", 0, "work", Limit{"a", 1});
    // `held` and `push` share a key: the one whose queue is earlier goes.
    EXPECT_THAT(jobs_of(ask.take({kPullsFirst, kWork, 9, true})),
                ElementsAre(held, pull, plain_pull, plain_push));
    EXPECT_EQ(t.state(push), State::kPending);
  });
}

void add_bound_cases(StoreCases& cases) {
  add(cases, "Bound_NoMoreOfAQueueThanItSays", [](StoreCase& t, Asking& ask) {
    for (int i = 0; i < 5; ++i) insert_in(t, "a", -1);
    for (int i = 0; i < 3; ++i) insert_in(t, "b");
    const Bounds bounds = {{"a", 2}};
    const Demand demand{{}, kWork, 9, false, bounds};
    EXPECT_THAT(ask.peek(demand), SizeIs(5));
    EXPECT_THAT(queues_of(ask.take(demand)),
                ElementsAre(testing::Pair("a", 2), testing::Pair("b", 3)));
    EXPECT_THAT(queues_of(ask.take(demand)), ElementsAre(testing::Pair("a", 2)));
  });

  add(cases, "Bound_TheBestOfTheQueueGo", [](StoreCase& t, Asking& ask) {
    const JobId third = insert_in(t, "a", 3);
    const JobId first = insert_in(t, "a", 1);
    const JobId second = insert_in(t, "a", 2);
    const Bounds bounds = {{"a", 2}};
    EXPECT_THAT(jobs_of(ask.take({{}, kWork, 9, false, bounds})),
                ElementsAre(first, second));
    EXPECT_EQ(t.state(third), State::kAvailable);
  });

  add(cases, "Bound_OfZeroLeavesAQueueOut", [](StoreCase& t, Asking& ask) {
    const Names a = {"a"};
    const Bounds bounds = {{"a", 0}};
    insert_in(t, "a");
    EXPECT_THAT(ask.take({{}, kWork, 9, false, bounds}), IsEmpty());
    EXPECT_THAT(ask.take({a, kWork, 9, false, bounds}), IsEmpty());
    EXPECT_THAT(ask.peek({a, kWork, 9, false, bounds}), IsEmpty());
    const JobId b = insert_in(t, "b", 9);
    EXPECT_THAT(jobs_of(ask.take({{}, kWork, 9, false, bounds})), ElementsAre(b));
    EXPECT_THAT(ask.take({a, kWork, 9}), SizeIs(1)) << "a bound holds for its demand";
  });

  add(cases, "Bound_OfTheOnlyQueueAndKind", [](StoreCase& t, Asking& ask) {
    const Names a = {"a"};
    const Bounds bounds = {{"a", 2}, {"elsewhere", 1}};
    for (int i = 0; i < 3; ++i) insert_in(t, "a");
    EXPECT_THAT(ask.take({a, kWork, 9, false, bounds}), SizeIs(2));
  });

  add(cases, "Bound_HoldsOverKindsAndPriorities", [](StoreCase& t, Asking& ask) {
    const Names kinds = {"one", "two"};
    const Bounds bounds = {{"a", 3}};
    std::vector<JobId> best;
    for (std::int16_t i = 0; i < 4; ++i) {
      const JobId id = insert_in(t, "a", i, i % 2 == 0 ? "one" : "two");
      if (i < 3) best.push_back(id);
    }
    EXPECT_EQ(jobs_of(ask.take({{}, kinds, 9, false, bounds})), best);
  });

  add(cases, "Bound_AndOrderTogether", [](StoreCase& t, Asking& ask) {
    for (int i = 0; i < 3; ++i) insert_in(t, "push", -1);
    for (int i = 0; i < 3; ++i) insert_in(t, "pull");
    const Bounds bounds = {{"pull", 1}};
    const auto runs = ask.take({kPullsFirst, kWork, 3, true, bounds});
    ASSERT_THAT(runs, SizeIs(3));
    EXPECT_EQ(runs[0].queue, "pull");
    EXPECT_EQ(runs[1].queue, "push");
    EXPECT_EQ(runs[2].queue, "push");
  });

  add(cases, "Bound_AmongJobsWithLimits", [](StoreCase& t, Asking& ask) {
    if (!t.traits().limits) GTEST_SKIP() << "the store has no limits";
    for (const char* key : {"a", "b", "c"}) {
      insert_in(t, "a", 0, "work", Limit{key, 1});
    }
    insert_in(t, "a", 1);
    const JobId other = insert_in(t, "b", 2);
    const Bounds bounds = {{"a", 2}};
    const auto runs = ask.take({{}, kWork, 9, false, bounds});
    EXPECT_THAT(queues_of(runs), Contains(testing::Pair("a", 2)));
    EXPECT_THAT(jobs_of(runs), Contains(other));
  });

  // Else the job would be lost on one who does not take it, and the other sleep on.
  add(cases, "Bound_WhoLeavesAQueueOutIsNotWokenInsteadOfAnother",
      [](StoreCase& t, Asking&) {
        const auto full = t.store().claim_source();
        const auto free = t.store().claim_source();
        const Bounds bounds = {{"a", 0}};
        auto waits = std::async(std::launch::async, [&] {
          return must(full->claim({{}, kWork, 1, false, bounds}, "full", 1, kLease, 1h));
        });
        auto gets = std::async(std::launch::async, [&] {
          return must(free->claim({{}, kWork, 1}, "free", 1, kLease, 1h));
        });
        for (int i = 0; i < 3 && gets.wait_for(0s) != std::future_status::ready; ++i) {
          insert_in(t, "a");
          gets.wait_for(1s);
        }
        EXPECT_THAT(gets.get(), SizeIs(1));
        full->interrupt();
        EXPECT_THAT(waits.get(), IsEmpty());
      });
}

// Begins again with a store that runs at most `most` jobs of queue "a" at once.
void limit_a(StoreCase& t, std::uint32_t most) {
  t.options().queue_limits = {{"a", most}};
  t.create_again();
}

void add_limit_cases_by_ticket(
    const std::function<void(const char*, StoreCases::Body)>& add) {
  add("QueueLimit_NoMoreRunThanItSays", [](StoreCase& t) {
    limit_a(t, 2);
    const JobId first = insert_in(t, "a");
    const JobId second = insert_in(t, "a");
    const JobId third = insert_in(t, "a");
    const Claimed run = t.claim(first);
    t.claim(second);
    EXPECT_EQ(t.claim_answer(third).error(), Refusal::kLimited);
    const JobRecord waits = t.record(third);
    EXPECT_EQ(waits.state, State::kAvailable) << "it is found again";
    EXPECT_EQ(waits.attempt, 0);
    EXPECT_THAT(ids_of(t.finish(run).freed), ElementsAre(third));
    EXPECT_TRUE(t.claim_answer(third).has_value());
  });

  add("QueueLimit_HoldsWithinOneClaim", [](StoreCase& t) {
    limit_a(t, 2);
    const std::vector<JobId> ids = {insert_in(t, "a"), insert_in(t, "a"),
                                    insert_in(t, "a"), insert_in(t, "b")};
    const auto answers = must(t.try_claim(ids));
    ASSERT_THAT(answers, SizeIs(4));
    EXPECT_TRUE(answers[0].has_value());
    EXPECT_TRUE(answers[1].has_value());
    ASSERT_FALSE(answers[2].has_value());
    EXPECT_EQ(answers[2].error(), Refusal::kLimited);
    EXPECT_TRUE(answers[3].has_value()) << "another queue is held up by nothing";
  });

  add("QueueLimit_PeekSeesWhatMayRun", [](StoreCase& t) {
    limit_a(t, 2);
    const JobId first = insert_in(t, "a");
    const JobId second = insert_in(t, "a");
    insert_in(t, "a");
    const JobId other = insert_in(t, "b");
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(first, second, other));
    t.claim(first);
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(second, other));
    t.claim(second);
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(other));
  });

  add("QueueLimit_EveryEndOfARunMakesRoom", [](StoreCase& t) {
    limit_a(t, 1);
    for (const Verdict verdict :
         {Verdict::kCompleted, Verdict::kRetry, Verdict::kDiscarded, Verdict::kSnoozed}) {
      const Claimed run = t.claim(insert_in(t, "a"));
      const JobId next = insert_in(t, "a");
      EXPECT_THAT(ids_of(t.finish(run, verdict, 1h).freed), ElementsAre(next))
          << static_cast<int>(verdict);
      t.finish(t.claim(next));
    }
  });

  add("QueueLimit_ALeaseThatEndedMakesRoom", [](StoreCase& t) {
    limit_a(t, 1);
    NewJob once = t.job();
    once.queue = "a";
    once.max_attempts = 1;
    t.claim(t.insert(once));
    const JobId next = insert_in(t, "a");
    EXPECT_EQ(t.claim_answer(next).error(), Refusal::kLimited);
    t.advance(kLease + 1s);
    EXPECT_THAT(ids_of(t.sweep_all().due), Contains(next));
    EXPECT_TRUE(t.claim_answer(next).has_value());
  });

  add("QueueLimit_ARunThatNobodyNamesAnyMoreMakesRoom", [](StoreCase& t) {
    limit_a(t, 1);
    t.claim(insert_in(t, "a"));
    must(t.store().beat(kWorker, t.last_claim_number(), {}, true, kLease));
    EXPECT_TRUE(t.claim_answer(insert_in(t, "a")).has_value());
  });

  add("QueueLimit_AStaleFinishMakesNoRoom", [](StoreCase& t) {
    limit_a(t, 1);
    const JobId id = insert_in(t, "a");
    const Claimed lost = t.claim(id);
    must(t.store().beat(kWorker, t.last_claim_number(), {}, true, kLease));
    t.claim(id);
    EXPECT_EQ(t.finish(lost).kind, Finished::Kind::kStale);
    EXPECT_EQ(t.claim_answer(insert_in(t, "a")).error(), Refusal::kLimited);
  });

  add("QueueLimit_AndKeyTogether", [](StoreCase& t) {
    if (!t.traits().limits) GTEST_SKIP() << "the store has no limits";
    limit_a(t, 2);
    t.claim(insert_in(t, "a", 0, "work", Limit{"k", 3}));
    t.claim(insert_in(t, "a", 0, "work", Limit{"k", 3}));
    const JobId third = insert_in(t, "a", 0, "work", Limit{"k", 3});
    EXPECT_EQ(t.claim_answer(third).error(), Refusal::kLimited);
    EXPECT_EQ(t.state(third), State::kAvailable) << "its key has room";
    EXPECT_TRUE(t.claim_answer(insert_in(t, "b", 0, "work", Limit{"k", 3})).has_value());
  });

  add("Invariant9_QueueLimitsAreCountedOverRowsAfterACrash", [](StoreCase& t) {
    if (!t.traits().durable) GTEST_SKIP() << "the rows go with the process";
    limit_a(t, 1);
    const Claimed run = t.claim(insert_in(t, "a"));
    const JobId next = insert_in(t, "a");
    t.reopen();
    EXPECT_EQ(t.claim_answer(next).error(), Refusal::kLimited);
    t.finish(run);
    EXPECT_TRUE(t.claim_answer(next).has_value());
  });

  add("QueueLimit_CountsWhatRunsThroughAnotherHandle", [](StoreCase& t) {
    if (t.traits().reach == Reach::kProcess) GTEST_SKIP() << "reach is the process";
    limit_a(t, 1);
    const auto other = t.beside();
    const JobId first = insert_in(t, "a");
    const JobId second = insert_in(t, "a");
    const std::vector<Ticket> ticket = {t.ticket(first, "a")};
    auto there = must(other->claim(ticket, "worker-2", 1, kLease));
    ASSERT_TRUE(there[0].has_value());
    EXPECT_EQ(t.claim_answer(second).error(), Refusal::kLimited);
    must(std::move(other->finish(std::vector{t.finish_of(there[0]->lease)})[0]));
    EXPECT_TRUE(t.claim_answer(second).has_value());
  });
}

void add_limit_cases_by_source(
    const std::function<void(const char*, StoreCases::Body)>& add) {
  add("QueueLimit_TheFusedClaimTakesOthersInstead", [](StoreCase& t) {
    limit_a(t, 2);
    Asking ask(t);
    if (!ask.has_source()) GTEST_SKIP() << "the store is no queue";
    for (int i = 0; i < 4; ++i) insert_in(t, "a", -1);
    insert_in(t, "b");
    const auto runs = ask.take({{}, kWork, 9});
    EXPECT_THAT(queues_of(runs),
                ElementsAre(testing::Pair("a", 2), testing::Pair("b", 1)));
    EXPECT_THAT(ask.take({{}, kWork, 9}), IsEmpty());
    t.finish(runs[0]);
    EXPECT_THAT(ask.take({{}, kWork, 9}), SizeIs(1));
  });

  add("QueueLimit_OfTheOnlyQueueAndKind", [](StoreCase& t) {
    limit_a(t, 2);
    Asking ask(t);
    if (!ask.has_source()) GTEST_SKIP() << "the store is no queue";
    const Names a = {"a"};
    for (int i = 0; i < 4; ++i) insert_in(t, "a");
    EXPECT_THAT(ask.take({a, kWork, 1}), SizeIs(1));
    EXPECT_THAT(ask.take({a, kWork, 9}), SizeIs(1));
    EXPECT_THAT(ask.take({a, kWork, 9}), IsEmpty());
  });

  add("QueueLimit_TheNarrowerOfItAndABoundHolds", [](StoreCase& t) {
    limit_a(t, 3);
    Asking ask(t);
    if (!ask.has_source()) GTEST_SKIP() << "the store is no queue";
    const Bounds bounds = {{"a", 2}};
    for (int i = 0; i < 5; ++i) insert_in(t, "a");
    EXPECT_THAT(ask.take({{}, kWork, 9, false, bounds}), SizeIs(2));
    EXPECT_THAT(ask.take({{}, kWork, 9, false, bounds}), SizeIs(1));
  });

  add("QueueLimit_AWaitingClaimIsWokenByTheEndOfARun", [](StoreCase& t) {
    limit_a(t, 1);
    const auto source = t.store().claim_source();
    if (!source) GTEST_SKIP() << "the store is no queue";
    const Claimed run = t.claim(insert_in(t, "a"));
    const JobId next = insert_in(t, "a");
    auto waits = std::async(std::launch::async, [&] {
      return must(source->claim({{}, kWork, 1}, "waits", 1, kLease, 1h));
    });
    EXPECT_EQ(waits.wait_for(20ms), std::future_status::timeout);
    t.finish(run);
    EXPECT_THAT(jobs_of(waits.get()), ElementsAre(next));
  });

  add("Invariant9_QueueLimitsHoldUnderManyWorkers", [](StoreCase& t) {
    constexpr int kJobs = 60;
    constexpr int kMost = 2;
    limit_a(t, kMost);
    if (!t.store().claim_source()) GTEST_SKIP() << "the store is no queue";
    NewJob job = t.job();
    job.queue = "a";
    t.insert_many(kJobs, job);
    // Where others share the data, half of the workers are others.
    std::unique_ptr<Store> beside;
    if (t.traits().reach != Reach::kProcess) beside = t.beside();
    std::atomic<int> running{0};
    std::atomic<int> done{0};
    std::atomic<int> over{0};
    const auto work = [&](Store& store, const std::string& name) {
      const auto source = store.claim_source();
      std::uint64_t number = 0;
      while (done < kJobs) {
        const auto runs =
            must(source->claim({{}, kWork, 3}, name, ++number, kLease, 5ms));
        // Its claim was committed before it is counted, and its end after.
        if (running.fetch_add(static_cast<int>(runs.size())) +
                static_cast<int>(runs.size()) >
            kMost) {
          ++over;
        }
        std::this_thread::yield();
        for (const Claimed& run : runs) {
          --running;
          must(std::move(store.finish(std::vector{StoreCase::finish_of(run.lease)})[0]));
          ++done;
        }
      }
    };
    {
      std::vector<std::jthread> workers;
      for (int i = 0; i < 4; ++i) {
        Store& store = beside && i % 2 == 1 ? *beside : t.store();
        workers.emplace_back([&, i] { work(store, "worker-" + std::to_string(i)); });
      }
    }
    EXPECT_EQ(over, 0);
    EXPECT_EQ(done, kJobs);
  });
}

}  // namespace

void add_queue_cases(StoreCases& cases) {
  add_order_cases(cases);
  add_bound_cases(cases);
  const auto add = [&](const char* name, StoreCases::Body body) {
    cases.add(name, [body = std::move(body)](StoreCase& t) {
      if (!t.traits().queue_limits) GTEST_SKIP() << "the store holds no queue limits";
      body(t);
    });
  };
  add_limit_cases_by_ticket(add);
  add_limit_cases_by_source(add);
}

}  // namespace carrel::conformance
