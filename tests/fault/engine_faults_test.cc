// Faults under a whole engine: the store is away for a while, loses answers, or the queue
// loses tickets. Nothing may be lost, and nothing run twice that need not be.
#include <carrel/conformance/faults.h>
#include <carrel/engine.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "folder.h"
#include "work.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;
using conformance::FaultMode;
using conformance::FaultPlan;
using conformance::FaultPoint;

constexpr Duration kPatience = 60s;

void start(Engine& engine) {
  const auto started = engine.start();
  ASSERT_TRUE(started) << started.error().message;
}

// The same over both stores, by the scheme of the real one.
class EngineFaults : public testing::TestWithParam<std::string> {
 protected:
  // An engine whose store is the real one under the plan's faults.
  Engine engine(Duration lease = 30s) { return engine_on("faulty", plan_, lease); }

  Engine engine_on(const std::string& scheme, const std::shared_ptr<FaultPlan>& plan,
                   Duration lease) {
    Registry registry = sql_registry();
    const StoreFactory real = *registry.store(GetParam()).value();
    registry.add_store(
        scheme,
        [=, real_scheme = GetParam()](
            const Url& url, const BackendOptions& o) -> Result<std::unique_ptr<Store>> {
          auto store = real(Url::parse(real_scheme + ":" + url.rest).value(), o);
          if (!store) return store;
          return std::make_unique<conformance::CrashingStore>(std::move(*store), plan);
        });
    const QueueFactory memory = *registry.queue("memory").value();
    registry.add_queue(
        "lossy",
        [=](const Url&, const BackendOptions& o) -> Result<std::unique_ptr<Queue>> {
          auto queue = memory(Url::parse("memory:").value(), o);
          if (!queue) return queue;
          return std::make_unique<conformance::LossyQueue>(std::move(*queue));
        });
    Config config;
    config.store = scheme + ":" +
                   (GetParam() == "memory" ? "" : (folder_.path() / "jobs.db").string());
    config.queue = queue_;
    config.worker.concurrency = 4;
    config.worker.lease = lease;
    config.worker.beat = 50ms;
    config.worker.poll = 50ms;
    config.log.level = LogLevel::kOff;
    Engine engine = Engine::open(std::move(config), std::move(registry)).value();
    engine.handle("work", [this](Context& job) {
      const std::lock_guard lock(mutex_);
      ++runs_[job.job().lease.id];
      return job.args();
    });
    return engine;
  }

  // Enqueues, asking again where the answer was lost.
  static JobId enqueue(Engine& engine, int n) {
    EnqueueOptions options;
    options.request_id = "request-" + std::to_string(n);
    for (;;) {
      auto id = engine.enqueue("work", n, options);
      if (id) return *id;
      EXPECT_EQ(id.error().code, Code::kUnavailable) << id.error().message;
      if (id.error().code != Code::kUnavailable) return {};
    }
  }
  static std::vector<JobId> enqueue_many(Engine& engine, int n) {
    std::vector<JobId> ids;
    ids.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) ids.push_back(enqueue(engine, i));
    return ids;
  }

  // Every job has its own result, and ran once, in its first attempt.
  void expect_each_done_once(Engine& engine, const std::vector<JobId>& ids) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto result = engine.wait(ids[i], kPatience);
      ASSERT_TRUE(result) << "job " << value(ids[i]) << ": " << result.error().message;
      EXPECT_EQ(*result, i);
      const std::lock_guard lock(mutex_);
      EXPECT_EQ(runs_[ids[i]], 1) << "job " << value(ids[i]);
    }
    for (JobId id : ids) {
      const JobRecord record = engine.job(id).value();
      EXPECT_EQ(record.attempt, 1);
      EXPECT_LE(record.attempts.size(), 1U) << "one run, at most one entry";
    }
  }

  const Folder folder_;
  std::string queue_;
  const std::shared_ptr<FaultPlan> plan_ = std::make_shared<FaultPlan>();
  std::mutex mutex_;
  std::map<JobId, int> runs_;
};

TEST_P(EngineFaults, AFinishIsKeptWhileTheStoreIsAway) {
  Engine e = engine();
  start(e);
  plan_->arm(FaultPoint::kBeforeFinishCommit, FaultMode::kError, 1, 5);
  const auto ids = enqueue_many(e, 100);
  expect_each_done_once(e, ids);
  EXPECT_EQ(plan_->happened(FaultPoint::kBeforeFinishCommit), 5U);
  e.stop(10s);
  EXPECT_EQ(e.health().value().unflushed, 0U);
}

TEST_P(EngineFaults, AFinishWhoseAnswerWasLostIsNotRunAgain) {
  Engine e = engine();
  start(e);
  plan_->arm(FaultPoint::kAfterFinishCommitBeforeReply, FaultMode::kError, 0, 5);
  const auto ids = enqueue_many(e, 100);
  expect_each_done_once(e, ids);
  e.stop(10s);
  EXPECT_GE(plan_->happened(FaultPoint::kAfterFinishCommitBeforeReply), 1U);
  EXPECT_EQ(e.health().value().stale, 0U);
  EXPECT_EQ(e.health().value().unflushed, 0U);
}

TEST_P(EngineFaults, AClaimWhoseAnswerWasLostIsSetFreeLongBeforeItsLeaseEnds) {
  // An hour's lease: only a beat can free what the lost answers had claimed.
  Engine e = engine(1h);
  plan_->arm(FaultPoint::kAfterClaimCommit, FaultMode::kError, 0, 5);
  const auto ids = enqueue_many(e, 100);
  start(e);
  expect_each_done_once(e, ids);
  EXPECT_EQ(plan_->happened(FaultPoint::kAfterClaimCommit), 5U);
}

TEST_P(EngineFaults, AClaimThatFailsIsTriedAgain) {
  Engine e = engine();
  plan_->arm(FaultPoint::kBeforeClaimCommit, FaultMode::kError, 0, 5);
  const auto ids = enqueue_many(e, 50);
  start(e);
  expect_each_done_once(e, ids);
}

TEST_P(EngineFaults, AnEnqueueThatIsAskedAgainIsOneJob) {
  Engine e = engine();
  start(e);
  plan_->arm(FaultPoint::kAfterInsertCommit, FaultMode::kError, 3, 4);
  plan_->arm(FaultPoint::kBeforeInsertCommit, FaultMode::kError, 9, 4);
  const auto ids = enqueue_many(e, 40);
  expect_each_done_once(e, ids);
  EXPECT_EQ(plan_->happened(FaultPoint::kAfterInsertCommit), 4U);
  EXPECT_EQ(e.list({}, {}, 1'000).value().size(), ids.size());
}

TEST_P(EngineFaults, BeatsThatFailCostNothingWhileTheLeaseHolds) {
  Engine e = engine();
  plan_->arm(FaultPoint::kBeforeBeatCommit, FaultMode::kError, 0, 5);
  start(e);
  const auto ids = enqueue_many(e, 50);
  expect_each_done_once(e, ids);
}

TEST_P(EngineFaults, AStopFlushesWhatTheStoreDidNotTake) {
  Engine e = engine();
  start(e);
  plan_->arm(FaultPoint::kBeforeFinishCommit, FaultMode::kError, 0, 3);
  const auto ids = enqueue_many(e, 20);
  e.stop(30s);
  for (JobId id : ids) {
    const JobRecord record = e.job(id).value();
    EXPECT_NE(record.state, State::kRunning) << "nothing is left running";
    if (record.state == State::kCompleted) continue;
    EXPECT_EQ(record.state, State::kAvailable);
    EXPECT_EQ(record.attempt, 0) << "what did not run cost no attempt";
  }
  start(e);
  expect_each_done_once(e, ids);
}

TEST_P(EngineFaults, AQueueThatLosesTicketsLosesNoJob) {
  queue_ = "lossy:";
  Engine e = engine();
  start(e);
  const auto ids = enqueue_many(e, 200);
  expect_each_done_once(e, ids);
}

TEST_P(EngineFaults, AResultWhoseLeaseWasLostIsDropped) {
  if (GetParam() == "memory") GTEST_SKIP() << "store's reach is its process";
  // The first engine runs the job, but can neither finish nor beat; the second rescues it
  // when the lease has ended.
  constexpr std::uint64_t kAlways = 1'000'000'000;
  plan_->arm(FaultPoint::kBeforeFinishCommit, FaultMode::kError, 0, kAlways);
  plan_->arm(FaultPoint::kBeforeBeatCommit, FaultMode::kError, 0, kAlways);
  Engine first = engine(500ms);
  const JobId id = enqueue(first, 7);
  start(first);
  while (plan_->happened(FaultPoint::kBeforeFinishCommit) == 0) std::this_thread::yield();
  Engine second = engine_on("sound", std::make_shared<FaultPlan>(), 30s);
  start(second);
  EXPECT_EQ(second.wait(id, kPatience).value(), 7);
  plan_->disarm(FaultPoint::kBeforeFinishCommit);
  plan_->disarm(FaultPoint::kBeforeBeatCommit);
  first.stop(30s);
  const JobRecord record = second.job(id).value();
  EXPECT_EQ(record.state, State::kCompleted);
  EXPECT_GE(record.attempt, 2) << "the lost run spent an attempt";
  EXPECT_EQ(first.health().value().unflushed, 0U);
  EXPECT_EQ(first.health().value().completed, 0U) << "its finish was not accepted";
}

INSTANTIATE_TEST_SUITE_P(Stores, EngineFaults, testing::Values("memory", "sqlite"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace carrel::fault
