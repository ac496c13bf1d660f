// Several queues: their order, and how many of each.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "fixture.h"
#include "queue_turns.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

// The store as its own queue, and tickets beside it.
struct Pair {
  const char* name;
  const char* queue;
};

class Queues : public testing::TestWithParam<Pair> {
 protected:
  Config config(std::size_t concurrency) const {
    Config config = memory_config(concurrency);
    config.queue = GetParam().queue;
    config.worker.queues = {"pull", "push"};
    return config;
  }
};
INSTANTIATE_TEST_SUITE_P(Memory, Queues,
                         testing::Values(Pair{"Fused", ""},
                                         Pair{"Tickets", "memory:?capacity=1000"}),
                         [](const auto& pair) { return pair.param.name; });

// Which queue each run came from, in the order of their starts.
class Seen {
 public:
  void add(const std::string& queue) {
    std::lock_guard lock(mutex_);
    queues_.push_back(queue);
  }
  std::vector<std::string> all() {
    std::lock_guard lock(mutex_);
    return queues_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> queues_;
};

TEST_P(Queues, HealthShowsTheBoundsAndWhatIsUsedOfThem) {
  Config bounded = config(4);
  bounded.queues["pull"].concurrency = 2;
  bounded.queues["push"].limit = 3;
  Engine engine = open(bounded);
  Gate begun;
  Gate gate;
  std::atomic<int> running{0};
  engine.handle("n", [&](Context&) {
    if (++running == 3) begun.open();
    gate.pass();
  });
  std::vector<JobId> ids;
  for (const char* queue : {"pull", "pull", "pull", "push"}) {
    ids.push_back(engine.enqueue("n", {}, {.queue = queue}).value());
  }
  EXPECT_EQ(engine.health()->queues.at("pull").busy, 0U);
  ASSERT_TRUE(engine.start());
  begun.pass();
  const Health health = engine.health().value();
  const QueueHealth& pull = health.queues.at("pull");
  EXPECT_EQ(pull.concurrency, 2U);
  EXPECT_EQ(pull.busy, 2U);
  EXPECT_EQ(pull.running, 2U);
  EXPECT_EQ(pull.limit, 0U);
  const QueueHealth& push = health.queues.at("push");
  EXPECT_EQ(push.limit, 3U);
  EXPECT_EQ(push.running, 1U);
  const Json json = Json(health).at("queue_bounds");
  EXPECT_EQ(json.at("pull").at("busy"), 2);
  EXPECT_TRUE(json.at("pull").at("limit").is_null());
  EXPECT_TRUE(json.at("push").at("busy").is_null()) << "no bound of this process";
  EXPECT_FALSE(health.footprint) << "memory is no disk";
  EXPECT_TRUE(Json(health).at("footprint").is_null());
  gate.open();
  for (const JobId id : ids) EXPECT_TRUE(engine.wait(id, kLong));
}

TEST_P(Queues, StrictNeverStartsAPushWhileAPullWaits) {
  Config strict = config(1);
  strict.worker.order = QueueOrder::kStrict;
  strict.defaults.priority = 5;  // of the pulls; a push would be better
  Engine engine = open(strict);
  std::atomic<int> pulls_waiting{0};
  std::atomic<int> pushes{0};
  std::atomic<bool> broken{false};
  engine.handle("pull", [&](Context&) { --pulls_waiting; });
  engine.handle("push", [&](Context&) {
    if (pulls_waiting > 0) broken = true;
    // Each push brings two pulls, which must go before the next push.
    for (int i = 0; i < 2; ++i) {
      ++pulls_waiting;
      if (!engine.enqueue("pull", {}, {.queue = "pull"})) broken = true;
    }
    ++pushes;
  });
  std::vector<JobId> ids;
  for (int i = 0; i < 50; ++i) {
    ids.push_back(engine.enqueue("push", {}, {.queue = "push", .priority = -5}).value());
  }
  ASSERT_TRUE(engine.start());
  for (const JobId id : ids) ASSERT_TRUE(engine.wait(id, kLong));
  EXPECT_FALSE(broken);
  EXPECT_EQ(pushes, 50);
}

TEST_P(Queues, WeightedServesBothInProportion) {
  Config weighted = config(1);
  weighted.worker.order = QueueOrder::kWeighted;
  weighted.queues["pull"].weight = 4;
  Engine engine = open(weighted);
  Seen seen;
  engine.handle("work", [&](Context& job) { seen.add(job.args().at("queue")); });
  constexpr int kEach = 500;
  std::vector<JobId> ids;
  for (int i = 0; i < kEach; ++i) {
    ids.push_back(engine.enqueue("work", {{"queue", "push"}}, {.queue = "push"}).value());
    ids.push_back(engine.enqueue("work", {{"queue", "pull"}}, {.queue = "pull"}).value());
  }
  ASSERT_TRUE(engine.start());
  for (const JobId id : ids) ASSERT_TRUE(engine.wait(id, kLong));
  const auto all = seen.all();
  ASSERT_EQ(all.size(), 2U * kEach);
  // Of the first 500 both have jobs left: 4 of 5 are pulls, with a deviation of 9.
  const auto pulls = std::count(all.begin(), all.begin() + kEach, "pull");
  EXPECT_GT(pulls, 400 - 63);
  EXPECT_LT(pulls, 400 + 63);
}

TEST(QueueTurns, AreDrawnInProportionToTheWeights) {
  WorkerConfig worker;
  worker.queues = {"a", "b", "c"};
  worker.order = QueueOrder::kWeighted;
  QueueTurns turns(worker, {{"a", {6, 0, 0}}, {"b", {3, 0, 0}}}, 20'261'126);
  std::map<std::string, int> first;
  std::map<std::string, int> second_after_a;
  constexpr int kDraws = 10'000;
  for (int i = 0; i < kDraws; ++i) {
    const auto order = turns.next();
    ASSERT_EQ(order.size(), 3U);
    ++first[order[0]];
    if (order[0] == "a") ++second_after_a[order[1]];
  }
  // Within five standard deviations; c has the weight 1 of a queue without a table.
  EXPECT_NEAR(first["a"], 6000, 245);
  EXPECT_NEAR(first["b"], 3000, 230);
  EXPECT_NEAR(first["c"], 1000, 150);
  EXPECT_NEAR(second_after_a["b"], 0.75 * first["a"], 170) << "3 to 1 of what is left";
}

TEST(QueueTurns, OtherOrdersStayAsTheyAreWritten) {
  WorkerConfig worker;
  worker.queues = {"a", "b"};
  QueueTurns mixed(worker, {});
  EXPECT_FALSE(mixed.in_order());
  worker.order = QueueOrder::kStrict;
  QueueTurns strict(worker, {});
  EXPECT_TRUE(strict.in_order());
  for (int i = 0; i < 20; ++i) {
    const auto order = strict.next();
    EXPECT_THAT(std::vector(order.begin(), order.end()), ElementsAre("a", "b"));
  }
}

TEST_P(Queues, NoMoreOfAQueueRunHereThanItsConcurrency) {
  Config bounded = config(4);
  bounded.queues["push"].concurrency = 2;
  bounded.worker.poll = 1h;  // nothing here is found by looking again
  bounded.worker.prefetch = 3;
  Engine engine = open(bounded);
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  engine.handle("push", [&](Context&) {
    int seen = most;
    const int mine = ++now;
    while (seen < mine && !most.compare_exchange_weak(seen, mine)) {
    }
    most.notify_all();
    for (int met = most; met < 2; met = most) most.wait(met);  // the first for a second
    std::this_thread::yield();
    --now;
  });
  engine.handle("pull", [](Context&) {});
  std::vector<JobId> ids;
  for (int i = 0; i < 100; ++i) {
    ids.push_back(engine.enqueue("push", {}, {.queue = "push"}).value());
    if (i % 4 == 0) ids.push_back(engine.enqueue("pull", {}, {.queue = "pull"}).value());
  }
  ASSERT_TRUE(engine.start());
  for (const JobId id : ids) ASSERT_TRUE(engine.wait(id, kLong));
  EXPECT_EQ(most, 2);
}

TEST_P(Queues, AFullQueueHoldsUpNoOther) {
  Config bounded = config(3);
  bounded.queues["push"].concurrency = 1;
  bounded.worker.poll = 1h;
  Engine engine = open(bounded);
  Gate gate;
  engine.handle("push", [&](Context&) { gate.pass(); });
  engine.handle("pull", [](Context&) {});
  std::vector<JobId> pushes;
  for (int i = 0; i < 3; ++i) {
    pushes.push_back(
        engine.enqueue("push", {}, {.queue = "push", .priority = -1}).value());
  }
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  for (int i = 0; i < 20; ++i) {
    const JobId pull = engine.enqueue("pull", {}, {.queue = "pull"}).value();
    ASSERT_TRUE(engine.wait(pull, kLong));
  }
  EXPECT_EQ(gate.visitors(), 1U);
  gate.open();
  // The claim that waits left the queue out: it must hear of the end.
  for (const JobId id : pushes) ASSERT_TRUE(engine.wait(id, kLong));
}

TEST_P(Queues, DrainKeepsToTheConcurrencyToo) {
  Config bounded = config(4);
  bounded.queues["push"].concurrency = 1;
  Engine engine = open(bounded);
  std::atomic<int> now{0};
  std::atomic<bool> crowded{false};
  engine.handle("push", [&](Context&) {
    if (++now > 1) crowded = true;
    std::this_thread::yield();
    --now;
  });
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(engine.enqueue("push", {}, {.queue = "push"}));
  }
  const auto report = engine.drain();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->completed, 20U);
  EXPECT_FALSE(crowded);
}

TEST_P(Queues, TheLimitOfAQueueHoldsAndAllRun) {
  Config limited = config(4);
  limited.queues["push"].limit = 2;
  limited.worker.poll = 1h;
  Engine engine = open(limited);
  std::atomic<int> now{0};
  std::atomic<bool> crowded{false};
  engine.handle("push", [&](Context&) {
    if (++now > 2) crowded = true;
    std::this_thread::yield();
    --now;
  });
  std::vector<JobId> ids;
  for (int i = 0; i < 100; ++i) {
    ids.push_back(engine.enqueue("push", {}, {.queue = "push"}).value());
  }
  ASSERT_TRUE(engine.start());
  for (const JobId id : ids) ASSERT_TRUE(engine.wait(id, kLong));
  EXPECT_FALSE(crowded);
}

}  // namespace
}  // namespace carrel
