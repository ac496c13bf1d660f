#include <atomic>
#include <csignal>
#include <thread>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

TEST(Lifecycle, AHandlerAfterTheFirstEnqueueIsRefusedWithTheWayOut) {
  Engine engine = open(memory_config());
  ASSERT_TRUE(engine.enqueue("a"));
  const auto late = engine.handle("a", [](Context&) {});
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().message.find("before the first enqueue"), std::string::npos);
  const auto started = engine.start();  // for hosts that look at no answer of handle()
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message, late.error().message);
  EXPECT_TRUE(engine.start()) << "it was told, and no more";
}

TEST(Lifecycle, ABadHandlerComesOutOfTheNextCall) {
  Engine engine = open(memory_config());
  engine.handle("a", [](Context&) {});
  engine.handle("a", [](Context&) {});  // ignored here …
  const auto id = engine.enqueue("a");  // … but not here
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, Code::kExists);
}

// A race for the thread sanitizer: who watches an engine may begin before it does.
TEST(Lifecycle, ItsOwnHealthMayBeAskedWhileItIgnites) {
  for (int round = 0; round < 20; ++round) {
    Engine engine = open(memory_config());
    engine.handle("a", [](Context&) {});
    std::atomic<bool> ignited{false};
    std::atomic<bool> asks{false};
    std::thread watch([&] {
      while (!ignited) {
        EXPECT_FALSE(engine.own_health().running);
        asks = true;
      }
    });
    while (!asks) std::this_thread::yield();
    EXPECT_TRUE(engine.ignite());
    ignited = true;
    watch.join();
  }
}

TEST(Lifecycle, AProducerRunsNothing) {
  Config config = memory_config();
  config.role = Role::kProducer;
  Engine engine = open(config);
  EXPECT_TRUE(engine.enqueue("a"));
  const auto started = engine.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("producer"), std::string::npos);
}

TEST(Lifecycle, StopLetsTheRunningEndAndLeavesNothingRunning) {
  Engine engine = open(memory_config(2));
  Gate gate;
  engine.handle("hold", [&](Context& job) {
    // The stop request comes when nothing is claimed any more.
    const std::stop_callback wake(job.stop(), [&] { gate.open(); });
    gate.pass();
  });
  std::vector<JobId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(engine.enqueue("hold").value());
  ASSERT_TRUE(engine.start());
  gate.wait_for(2);
  engine.stop(kLong);
  std::size_t completed = 0;
  for (const auto id : ids) {
    const auto job = engine.job(id).value();
    EXPECT_NE(job.state, State::kRunning);
    completed += job.state == State::kCompleted ? 1 : 0;
    if (job.state == State::kAvailable) {
      EXPECT_EQ(job.attempt, 0);
    }
  }
  EXPECT_EQ(completed, 2U);
}

TEST(Lifecycle, WhatDoesNotEndIsReleasedAtNoCostOfAnAttempt) {
  // The other, as nanoseconds, would be a time in the future.
  for (const Duration grace : {Duration{1ms}, Duration{-9'300'000'000'000'000}}) {
    Engine engine = open(memory_config(1));
    Gate gate;
    engine.handle("deaf", [&](Context&) { gate.pass(); });
    const auto id = engine.enqueue("deaf").value();
    ASSERT_TRUE(engine.start());
    gate.wait_for(1);
    engine.stop(grace);
    const auto job = engine.job(id).value();
    EXPECT_EQ(job.state, State::kAvailable);
    EXPECT_EQ(job.attempt, 0);
    EXPECT_TRUE(job.attempts.empty());
    gate.open();
  }
}

TEST(Lifecycle, AStoppedEngineStartsAgain) {
  for (const char* queue : {"", "memory:?capacity=1000"}) {
    Config config = memory_config();
    config.queue = queue;
    Engine engine = open(config);
    engine.handle("a", [](Context& job) { return job.args(); });
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(engine.start());
      const auto id = engine.enqueue("a", round).value();
      EXPECT_EQ(engine.wait(id, kLong).value(), round);
      engine.stop(kLong);
    }
  }
}

TEST(Lifecycle, StartAndStopFromManyThreadsAtOnce) {
  Engine engine = open(memory_config());
  std::atomic<int> ran{0};
  engine.handle("a", [&](Context&) { ++ran; });
  ASSERT_TRUE(engine.ignite());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 20; ++n) {
        (void)engine.start();  // somebody else may have
        ASSERT_TRUE(engine.enqueue("a"));
        engine.stop(kLong);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(ran, 80);
}

TEST(Lifecycle, DrainRunsAllThatIsDueAndWhatThatMakesDue) {
  Engine engine = open(memory_config());
  std::atomic<int> ran{0};
  engine.handle("tree", [&](Context& job) {
    ++ran;
    const int depth = job.args().get<int>();
    for (int i = 0; i < 2 && depth > 0; ++i) {
      if (!engine.enqueue("tree", depth - 1)) throw std::runtime_error("enqueue failed");
    }
  });
  ASSERT_TRUE(engine.enqueue("tree", 4));
  const auto later = engine.enqueue("tree", 0, {.delay = 1h}).value();
  EXPECT_EQ(engine.drain()->completed, 31U);
  EXPECT_EQ(ran, 31);
  EXPECT_EQ(engine.job(later)->state, State::kScheduled);
  ASSERT_TRUE(engine.start());
  EXPECT_FALSE(engine.drain()) << "not beside start()";
}

TEST(Lifecycle, DrainEndsEarlyWhenAskedTo) {
  Engine engine = open(memory_config(1));
  std::stop_source source;
  engine.handle("first", [&](Context& job) {
    source.request_stop();
    while (!job.stopping()) std::this_thread::yield();
    return Result<Json>(fail(Code::kCancelled, "stopped"));
  });
  engine.handle("second", [](Context&) {});
  const auto first = engine.enqueue("first").value();
  const auto second = engine.enqueue("second", nullptr, {.priority = 1}).value();
  ASSERT_TRUE(engine.drain(source.get_token()));
  EXPECT_EQ(engine.job(first)->state, State::kAvailable);
  EXPECT_EQ(engine.job(first)->attempt, 0U) << "a stop costs no attempt";
  EXPECT_EQ(engine.job(second)->state, State::kAvailable);
}

TEST(Lifecycle, RunEndsOnSigtermAndGivesTheSignalBack) {
  Engine engine = open(memory_config());
  engine.handle("last", [](Context&) {
    // To this process, as a service manager would.
    kill(getpid(), SIGTERM);
  });
  const auto id = engine.enqueue("last").value();
  ASSERT_TRUE(engine.run());
  EXPECT_EQ(engine.job(id)->state, State::kCompleted);
  struct sigaction now {};
  sigaction(SIGTERM, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST(Lifecycle, OneSigtermEndsEveryRun) {
  Engine engines[2] = {open(memory_config()), open(memory_config())};
  Gate gate;
  std::vector<std::thread> threads;
  for (Engine& engine : engines) {
    engine.handle("a", [&](Context&) { gate.pass(); });
    ASSERT_TRUE(engine.enqueue("a"));
    threads.emplace_back([&] { EXPECT_TRUE(engine.run()); });
  }
  gate.wait_for(2);
  gate.open();
  kill(getpid(), SIGTERM);
  for (auto& thread : threads) thread.join();
  struct sigaction now {};
  sigaction(SIGTERM, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
  // What came before it began is not its own.
  std::thread again([&] { EXPECT_TRUE(engines[0].run()); });
  EXPECT_TRUE(engines[0].wait(engines[0].enqueue("a").value(), kLong));
  engines[0].stop(kLong);
  again.join();
}

TEST(Lifecycle, RunEndsWhenStopIsCalledElsewhere) {
  Engine engine = open(memory_config());
  Gate gate;
  engine.handle("a", [&](Context&) { gate.pass(); });
  const auto id = engine.enqueue("a").value();
  std::thread stopper([&] {
    gate.wait_for(1);
    gate.open();
    engine.stop(kLong);
  });
  EXPECT_TRUE(engine.run());
  stopper.join();
  EXPECT_EQ(engine.job(id)->state, State::kCompleted);
}

TEST(Lifecycle, WorkersTakeOnlyTheirQueues) {
  Config config = memory_config();
  config.worker.queues = {"mine"};
  Engine engine = open(config);
  engine.handle("a", [](Context&) {});
  const auto mine = engine.enqueue("a", {}, {.queue = "mine"}).value();
  const auto other = engine.enqueue("a", {}, {.queue = "other"}).value();
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(engine.job(mine)->state, State::kCompleted);
  EXPECT_EQ(engine.job(other)->state, State::kAvailable);
}

TEST(Lifecycle, AQueueThatReachesFurtherThanItsStoreIsRefused) {
  Registry registry = Registry::with_builtins();
  class Far final : public Queue {
   public:
    QueueTraits traits() const noexcept override {
      return {Reach::kNetwork, false, false, 1};
    }
    std::size_t publish(std::span<const Ticket>) noexcept override { return 0; }
    Result<std::vector<Delivery>> receive(const Demand&, Duration) override {
      return std::vector<Delivery>();
    }
    void settle(std::span<const std::uint64_t>) noexcept override {}
    std::size_t backlog(const Demand&) const noexcept override { return 0; }
    void interrupt() noexcept override {}
  };
  registry.add_queue(
      "far", [](const Url&, const BackendOptions&) -> Result<std::unique_ptr<Queue>> {
        return std::make_unique<Far>();
      });
  Config config = memory_config();
  config.queue = "far:";
  Engine engine = Engine::open(config, registry).value();
  const auto id = engine.enqueue("a");
  ASSERT_FALSE(id);
  EXPECT_NE(id.error().message.find("reaches further (network) than the store (process)"),
            std::string::npos)
      << id.error().message;
}

// The hook's thread commits a run while the thread that ran it still counts it: neither
// may leave the room to the other.
TEST(Lifecycle, WithAHookEveryJobRunsHoweverFewRunAtOnce) {
  Engine engine = open(memory_config(1));
  std::atomic<int> finished{0};
  engine.handle("noop", [](Context&) {});
  engine.on_finished([&](const Event&) { ++finished; });
  ASSERT_TRUE(engine.start());
  for (int round = 0; round < 20; ++round) {
    for (const auto& id :
         engine.enqueue(std::vector<Request>(100, Request{"noop", {}}))) {
      ASSERT_TRUE(engine.wait(id.value(), kLong)) << "round " << round;
    }
  }
  engine.stop(kLong);
  EXPECT_EQ(finished.load(), 2000);
}

// The claims that a slow hook holds back are made up for: more ends wait for it, again
// and again, than the engine keeps.
TEST(Lifecycle, AHookSlowerThanTheJobsHoldsThemUpNoLongerThanItNeeds) {
  constexpr std::size_t kJobs = 20'000;
  Engine engine = open(memory_config(8));
  std::atomic<std::size_t> finished{0};
  engine.handle("noop", [](Context&) {});
  engine.on_finished([&](const Event&) {
    for (int i = 0; i < 2000; ++i) finished.load();  // some microseconds
    ++finished;
    finished.notify_all();
  });
  ASSERT_TRUE(engine.start());
  for (std::size_t i = 0; i < kJobs; i += 1000) {
    for (const auto& id :
         engine.enqueue(std::vector<Request>(1000, Request{"noop", {}}))) {
      ASSERT_TRUE(id.has_value());
    }
  }
  for (std::size_t now = 0; (now = finished.load()) < kJobs;) finished.wait(now);
  engine.stop(kLong);
}

}  // namespace
}  // namespace carrel
