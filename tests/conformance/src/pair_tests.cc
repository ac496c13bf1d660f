#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "little_engine.h"
#include "pair_case.h"

namespace carrel::conformance {
namespace {

using namespace std::chrono_literals;
using testing::SizeIs;

void add_once_cases(PairCases& cases) {
  cases.add("EveryJobCompletesExactlyOnce", [](PairCase& t) {
    LittleEngine engine(t.store(), t.queue(), {},
                        [&](const Claimed& c) { return t.run(c); });
    std::vector<JobId> ids;
    for (int i = 0; i < 40; ++i) {
      const auto some = engine.enqueue(std::vector(25, job(std::to_string(i))));
      ids.insert(ids.end(), some.begin(), some.end());
      if (i == 20) engine.start();
    }
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == ids.size(); }));
    t.expect_each_completed_once(ids);
    EXPECT_EQ(engine.stale(), 0U);
    EXPECT_EQ(t.record(ids.back()).result, "39");
  });

  cases.add("Invariant5_LostDoubledAndReorderedTicketsCostOnlyTime", [](PairCase& t) {
    if (t.fused()) GTEST_SKIP() << "store is its own queue: there are no tickets";
    const LossyQueue& lossy = t.make_lossy();
    LittleEngine engine(t.store(), t.queue(), {},
                        [&](const Claimed& c) { return t.run(c); });
    std::vector<JobId> ids;
    for (int i = 0; i < 20; ++i) {
      const auto some = engine.enqueue(std::vector(25, job()));
      ids.insert(ids.end(), some.begin(), some.end());
    }
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == ids.size(); }));
    t.expect_each_completed_once(ids);
    EXPECT_GT(lossy.harm().dropped, 0U);
    EXPECT_GT(lossy.harm().doubled, 0U);
    EXPECT_GT(lossy.harm().reordered, 0U);
    EXPECT_GT(lossy.harm().delayed, 0U);
  });

  cases.add("Invariant6_JobsThatNobodyPublishedAreFound", [](PairCase& t) {
    std::vector<JobId> ids;
    for (auto& in : t.store().insert(std::vector(300, job()), 60s)) {
      ids.push_back(must(std::move(in)).id);
    }
    LittleEngine engine(t.store(), t.queue(), {},
                        [&](const Claimed& c) { return t.run(c); });
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == ids.size(); }));
    t.expect_each_completed_once(ids);
  });
}

// With tickets as without: each that the window lets go is heard of, and no more begin.
void add_rate_cases(PairCases& cases) {
  cases.add("Invariant9_RatedJobsAllRunInTheirWindows", [](PairCase& t) {
    if (!t.store().traits().rates) GTEST_SKIP() << "the store counts no rates";
    constexpr std::size_t kStarts = 4;
    constexpr Duration kPeriod = 10min;
    NewJob rated = job();
    rated.rate = Rate{"k", kStarts, kPeriod};
    LittleEngine::Options options;
    options.between = [&] { t.advance(1min); };
    LittleEngine engine(t.store(), t.queue(), options,
                        [&](const Claimed& c) { return t.run(c); });
    const auto ids = engine.enqueue(std::vector(40, rated));
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == ids.size(); }));
    t.expect_each_completed_once(ids);
    std::vector<Time> begun;
    for (const JobId id : ids) begun.push_back(t.record(id).started.value());
    std::sort(begun.begin(), begun.end());
    for (std::size_t i = kStarts; i < begun.size(); ++i) {
      EXPECT_GE(begun[i] - begun[i - kStarts], kPeriod) << i;
    }
  });
}

void add_order_cases(PairCases& cases) {
  cases.add("LowerPriorityValuesRunFirst", [](PairCase& t) {
    if (!t.ordered()) GTEST_SKIP() << "queue is not prioritised";
    std::vector<std::int16_t> order;
    LittleEngine::Options one;
    one.workers = 1;
    one.at_once = 1;
    LittleEngine engine(t.store(), t.queue(), one, [&](const Claimed& c) {
      order.push_back(c.priority);
      return t.run(c);
    });
    std::vector<NewJob> jobs;
    for (int p : {7, -3, 0, 99, -32'768, 5, 0, 32'767}) {
      jobs.push_back(job());
      jobs.back().priority = static_cast<std::int16_t>(p);
    }
    engine.enqueue(jobs);
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == jobs.size(); }));
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()))
        << testing::PrintToString(order);
  });

  cases.add("AKindThatNobodyKnowsWaits", [](PairCase& t) {
    NewJob unknown = job();
    unknown.kind = "unknown";
    LittleEngine engine(t.store(), t.queue(), {},
                        [&](const Claimed& c) { return t.run(c); });
    const JobId waits = engine.enqueue({&unknown, 1}).at(0);
    const auto ids = engine.enqueue(std::vector(50, job()));
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == ids.size(); }));
    EXPECT_EQ(t.runs_of(waits), 0);
    EXPECT_EQ(t.record(waits).state, State::kAvailable);
    EXPECT_EQ(must(t.store().monitor().counts()).available_by_kind.at("unknown"), 1U);
  });

  cases.add("APausedQueueWaitsAndResumes", [](PairCase& t) {
    must(t.store().set_paused("held", true));
    NewJob held = job();
    held.queue = "held";
    LittleEngine engine(t.store(), t.queue(), {},
                        [&](const Claimed& c) { return t.run(c); });
    auto ids = engine.enqueue(std::vector(30, held));
    const auto free_ones = engine.enqueue(std::vector(30, job()));
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() >= free_ones.size(); }));
    for (JobId id : ids) EXPECT_EQ(t.runs_of(id), 0);

    LittleEngine later(t.store(), t.queue(), {},
                       [&](const Claimed& c) { return t.run(c); });
    later.publish(must(t.store().set_paused("held", false)));
    ASSERT_TRUE(later.run_until([&] { return later.applied() == ids.size(); }));
    ids.insert(ids.end(), free_ones.begin(), free_ones.end());
    t.expect_each_completed_once(ids);
  });
}

void add_time_cases(PairCases& cases) {
  cases.add("ADelayedJobDoesNotRunBeforeItsTime", [](PairCase& t) {
    std::atomic<bool> due{false};
    std::atomic<int> early{0};
    LittleEngine engine(t.store(), t.queue(), {}, [&](const Claimed& c) {
      if (c.payload == "later" && !due) ++early;
      return t.run(c);
    });
    NewJob later = job("later");
    later.delay = 1h;
    auto ids = engine.enqueue(std::vector(20, later));
    const auto now = engine.enqueue(std::vector(20, job()));
    // A ticket that comes early only costs a refusal.
    std::vector<Ticket> tickets;
    tickets.reserve(ids.size());
    for (JobId id : ids) tickets.push_back({id, "default", "work", 0});
    engine.publish(tickets);
    engine.start();
    ASSERT_TRUE(engine.run_until([&] {
      if (engine.applied() == now.size() && !due) {
        due = true;
        t.advance(1h);
      }
      return engine.applied() == now.size() + ids.size();
    }));
    EXPECT_EQ(early, 0);
    ids.insert(ids.end(), now.begin(), now.end());
    t.expect_each_completed_once(ids);
  });

  cases.add("AFailedJobRunsAgainUntilItSucceeds", [](PairCase& t) {
    LittleEngine::Options options;
    options.between = [&] { t.advance(1s); };
    LittleEngine engine(t.store(), t.queue(), options, [&](const Claimed& c) {
      t.run(c);
      return std::optional(c.attempt < 4 ? finish_of(c, Verdict::kRetry, 5s)
                                         : finish_of(c));
    });
    const auto ids = engine.enqueue(std::vector(40, job()));
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == 4 * ids.size(); }));
    for (JobId id : ids) {
      EXPECT_EQ(t.runs_of(id), 4);
      EXPECT_EQ(t.record(id).state, State::kCompleted);
    }
  });
}

void add_fault_cases(PairCases& cases) {
  cases.add("Invariant8_JobsOfWorkersThatDieRunAgainAndCompleteOnce", [](PairCase& t) {
    std::atomic<int> deaths{0};
    std::mutex mutex;
    std::set<std::pair<std::uint64_t, std::uint64_t>> keys;
    LittleEngine::Options options;
    options.lease = 10s;
    options.between = [&] { t.advance(100ms); };
    LittleEngine engine(
        t.store(), t.queue(), options, [&](const Claimed& c) -> std::optional<Finish> {
          {
            const std::lock_guard lock(mutex);
            EXPECT_TRUE(keys.emplace(value(c.lease.id), value(c.lease.fence)).second)
                << "(id, fence) names one run";
          }
          if (c.attempt == 1 && value(c.lease.id) % 3 == 0) {
            ++deaths;
            return std::nullopt;
          }
          return t.run(c);
        });
    const auto ids = engine.enqueue(std::vector(200, job()));
    std::size_t completed = 0;
    ASSERT_TRUE(engine.run_until([&] {
      completed = must(t.store().monitor().counts())
                      .total[static_cast<std::size_t>(State::kCompleted)];
      return completed == ids.size();
    }));
    EXPECT_GT(deaths, 0);
    EXPECT_EQ(engine.applied(), ids.size()) << "one accepted completion a job";
  });

  cases.add("LostAnswersOfClaimAndFinishCostNothing", [](PairCase& t) {
    FaultPlan& plan = t.make_crashing();
    plan.arm(FaultPoint::kAfterClaimCommit, FaultMode::kError, 2, 5);
    plan.arm(FaultPoint::kAfterFinishCommitBeforeReply, FaultMode::kError, 10, 20);
    plan.arm(FaultPoint::kBeforeClaimCommit, FaultMode::kError, 9, 5);
    plan.arm(FaultPoint::kBeforeFinishCommit, FaultMode::kError, 50, 20);
    LittleEngine engine(t.store(), t.queue(), {},
                        [&](const Claimed& c) { return t.run(c); });
    const auto ids = engine.enqueue(std::vector(400, job()));
    ASSERT_TRUE(engine.run_until(
        [&] { return engine.applied() + engine.already() == ids.size(); }));
    t.expect_each_completed_once(ids);
    EXPECT_EQ(engine.stale(), 0U);
    // The twenty lost answers may be those of one finish or of several.
    EXPECT_GE(engine.already(), 1U) << "a finish whose answer was lost is asked again";
    EXPECT_LE(engine.already(), 20U);
    EXPECT_EQ(plan.happened(FaultPoint::kAfterClaimCommit), 5U);
  });

  cases.add("AnEnqueueWhoseAnswerWasLostIsAskedAgain", [](PairCase& t) {
    FaultPlan& plan = t.make_crashing();
    plan.arm(FaultPoint::kAfterInsertCommit, FaultMode::kError, 0, 10);
    LittleEngine engine(t.store(), t.queue(), {},
                        [&](const Claimed& c) { return t.run(c); });
    std::set<JobId> ids;
    for (int i = 0; i < 50; ++i) {
      NewJob one = job();
      one.request_id = "ask-" + std::to_string(i);
      for (;;) {
        auto answer = std::move(t.store().insert({&one, 1}, 60s).at(0));
        if (!answer) {
          ASSERT_EQ(answer.error().code, Code::kUnavailable);
          continue;
        }
        ids.insert(answer->id);
        break;
      }
    }
    EXPECT_THAT(ids, SizeIs(50));
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == 50; }));
    t.expect_each_completed_once({ids.begin(), ids.end()});
  });
}

}  // namespace

void register_pair_tests(PairHarness harness) {
  const std::string suite = harness.name + "/Pair";
  PairCases cases(suite, std::move(harness));
  add_once_cases(cases);
  add_rate_cases(cases);
  add_order_cases(cases);
  add_queue_cases(cases);
  add_time_cases(cases);
  add_fault_cases(cases);
}

}  // namespace carrel::conformance
