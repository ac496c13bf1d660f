// Queues in order, by turns and bounded, with tickets as without.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "little_engine.h"
#include "pair_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

using Names = std::vector<std::string>;

NewJob job_in(const std::string& queue, std::int16_t priority = 0) {
  NewJob one = job();
  one.queue = queue;
  one.priority = priority;
  return one;
}

std::uint64_t running_in(PairCase& t, const std::string& queue) {
  const Counts counts = must(t.store().monitor().counts());
  const auto found = counts.by_queue.find(queue);
  return found == counts.by_queue.end()
             ? 0
             : found->second[static_cast<std::size_t>(State::kRunning)];
}

// What one worker runs, one job after the other: the queues.
Names run_alone(PairCase& t, LittleEngine::Options options,
                const std::vector<NewJob>& jobs) {
  Names ran;
  options.workers = 1;
  options.at_once = 1;
  LittleEngine engine(t.store(), t.queue(), options, [&](const Claimed& c) {
    ran.push_back(c.queue);
    return t.run(c);
  });
  const auto ids = engine.enqueue(jobs);
  EXPECT_TRUE(engine.run_until([&] { return engine.applied() == ids.size(); }));
  t.expect_each_completed_once(ids);
  return ran;
}

void add_turn_cases(PairCases& cases) {
  cases.add("Order_StrictNoneOfALaterQueueWhileAnEarlierHasAny", [](PairCase& t) {
    LittleEngine::Options strict;
    strict.turn = [](std::uint64_t) { return Names{"pull", "push"}; };
    EXPECT_THAT(run_alone(t, strict,
                          {job_in("push", -9), job_in("push", -9), job_in("pull", 9),
                           job_in("push", -9), job_in("pull", 9)}),
                ElementsAre("pull", "pull", "push", "push", "push"));
  });

  // Three to one, without the chance: each claim has the order of its turn.
  cases.add("Order_ByTurnsEachQueueGetsItsShareAndNoneStarves", [](PairCase& t) {
    LittleEngine::Options weighted;
    auto found = std::make_shared<std::uint64_t>(0);  // a claim may find nothing
    weighted.turn = [found](std::uint64_t) {
      return *found % 4 == 3 ? Names{"rare", "often"} : Names{"often", "rare"};
    };
    weighted.on_claimed = [found](std::size_t jobs) { *found += jobs; };
    std::vector<NewJob> jobs(5, job_in("rare", -9));
    jobs.insert(jobs.end(), 9, job_in("often", 9));
    Names expected;
    for (int i = 0; i < 3; ++i) {
      expected.insert(expected.end(), {"often", "often", "often", "rare"});
    }
    expected.insert(expected.end(), {"rare", "rare"});  // no slot stays empty
    EXPECT_THAT(run_alone(t, weighted, jobs), ElementsAreArray(expected));
  });
}

void add_bound_cases(PairCases& cases) {
  cases.add("Bound_OneWorkerHasNoMoreOfAQueueThanItSays", [](PairCase& t) {
    LittleEngine::Options bounded;
    bounded.workers = 1;
    bounded.at_once = 4;
    bounded.bounds = {{"narrow", 2}};
    std::uint64_t most = 0;
    LittleEngine engine(t.store(), t.queue(), bounded, [&](const Claimed& c) {
      most = std::max(most, running_in(t, "narrow"));
      return t.run(c);
    });
    std::vector<NewJob> jobs(20, job_in("narrow", -9));
    jobs.insert(jobs.end(), 20, job_in("wide", 9));
    const auto ids = engine.enqueue(jobs);
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == ids.size(); }));
    EXPECT_GT(most, 0U);
    EXPECT_LE(most, 2U);
    t.expect_each_completed_once(ids);
  });

  cases.add("Bound_OfAQueueHoldsInAllWorkersOfTheStore", [](PairCase& t) {
    if (!t.store().traits().queue_limits) GTEST_SKIP() << "the store holds no limits";
    t.begin_again({{"narrow", 2}});
    std::mutex mutex;
    std::uint64_t most = 0;
    LittleEngine engine(t.store(), t.queue(), {}, [&](const Claimed& c) {
      const std::uint64_t running = running_in(t, "narrow");
      const std::lock_guard lock(mutex);
      most = std::max(most, running);
      return t.run(c);
    });
    std::vector<NewJob> jobs(30, job_in("narrow", -9));
    jobs.insert(jobs.end(), 30, job_in("wide", 9));
    const auto ids = engine.enqueue(jobs);
    ASSERT_TRUE(engine.run_until([&] { return engine.applied() == ids.size(); }));
    EXPECT_GT(most, 0U);
    EXPECT_LE(most, 2U);
    t.expect_each_completed_once(ids);
  });
}

}  // namespace

void add_queue_cases(PairCases& cases) {
  add_turn_cases(cases);
  add_bound_cases(cases);
}

}  // namespace carrel::conformance
