// drain() while jobs run that wait for others.
#include <atomic>
#include <chrono>
#include <condition_variable>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

TEST(Drain, AHandlerGetsTheJobThatItEnqueuedAndWaitsFor) {
  for (const char* queue : {"", "memory:?capacity=1000"}) {
    Config config = memory_config(2);
    config.queue = queue;
    config.worker.poll = std::chrono::hours(1);  // it is told
    Engine engine = open(config);
    engine.handle("child", [](Context& job) { return job.args(); });
    engine.handle("parent", [&](Context&) -> Result<Json> {
      const auto child = engine.enqueue("child", 7);
      if (!child) return tl::unexpected<Error>(child.error());
      return engine.wait(*child, kLong);
    });
    const auto parent = engine.enqueue("parent", {}, {.max_attempts = 1}).value();
    EXPECT_EQ(engine.drain()->completed, 2U);
    EXPECT_EQ(engine.wait(parent, 0s).value_or(Json()), 7);
  }
}

// A handler that waits for a retry of another job, which falls due meanwhile.
TEST(Drain, WhatFallsDueWhileJobsRunIsRun) {
  Engine engine = open(memory_config(2));
  std::mutex mutex;
  std::condition_variable changed;
  bool again = false;
  engine.handle("flaky", [&](Context& job) -> Result<Json> {
    if (job.attempt() == 1) return job.retry_in(1ms, "once more");
    const std::lock_guard lock(mutex);
    again = true;
    changed.notify_all();
    return Json();
  });
  engine.handle("waits", [&](Context&) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kLong, [&] { return again; });
  });
  const auto waits = engine.enqueue("waits").value();
  ASSERT_TRUE(engine.enqueue("flaky"));
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(engine.wait(waits, 0s).value(), true);
}

// A job that others made: nobody here is told of it.
TEST(Drain, WhatOthersEnqueueWhileJobsRunIsFoundByThePoll) {
  Config config = memory_config(2);
  config.worker.poll = 20ms;
  Engine engine = open(config);
  Gate gate;
  engine.handle("opens", [&](Context&) { gate.open(); });
  engine.handle("waits", [&](Context&) {
    NewJob job;
    job.kind = "opens";
    job.queue = "default";
    std::ignore = engine.store().insert({&job, 1}, kLong);
    gate.pass();
  });
  ASSERT_TRUE(engine.enqueue("waits"));
  EXPECT_EQ(engine.drain()->completed, 2U);
}

}  // namespace
}  // namespace carrel
