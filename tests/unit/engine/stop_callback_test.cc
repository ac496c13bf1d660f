// What a host does when its job is to stop, or hears of its progress, may take its time:
// no other job's beat, stop or time-out waits for it.
#include <memory>
#include <thread>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

// A job of the kind "slow" listens for its stop at `gate`, and ends when it has left
// that.
void handle_slow(Engine& engine, Gate& gate, Gate& running) {
  engine.handle("slow", [&](Context& job) {
    const std::stop_token stop = job.stop();
    const std::stop_callback told(stop, [&] { gate.pass(); });
    running.pass();
    while (!stop.stop_requested()) std::this_thread::yield();
  });
}

template <class Predicate>
bool comes_true(Predicate is_true) {
  const auto until = std::chrono::steady_clock::now() + kLong / 2;
  while (!is_true()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

TEST(StopCallback, ThatTakesItsTimeHoldsUpNoBeat) {
  Engine engine = open(memory_config(2));
  Gate gate;
  Gate running;
  Gate talk;
  handle_slow(engine, gate, running);
  engine.handle("talks", [&](Context& job) {
    talk.pass();
    job.progress(0.5F);
    while (!job.stopping()) std::this_thread::yield();
  });
  running.open();
  const auto slow = engine.enqueue("slow").value();
  const auto talks = engine.enqueue("talks").value();
  ASSERT_TRUE(engine.start());
  running.wait_for(1);
  talk.wait_for(1);
  // By another process, as it were: the pulse hears of it.
  ASSERT_EQ(engine.store().cancel({&slow, 1}).value().front(), Cancelled::kRequested);
  gate.wait_for(1);
  talk.open();
  EXPECT_TRUE(comes_true([&] { return engine.job(talks)->progress.has_value(); }));
  gate.open();
  engine.stop(kLong);
}

TEST(StopCallback, OfEachIsCalledThoughOthersDoNotReturn) {
  Engine engine = open(memory_config(3));
  Gate gate;
  Gate running;
  running.open();
  handle_slow(engine, gate, running);
  std::vector<JobId> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(engine.enqueue("slow").value());
  ASSERT_TRUE(engine.start());
  running.wait_for(3);
  std::thread canceller([&] {
    for (const auto id : ids) EXPECT_TRUE(engine.cancel(id));
  });
  EXPECT_TRUE(comes_true([&] { return gate.visitors() == 3; }));
  gate.open();
  canceller.join();
  for (const auto id : ids) EXPECT_TRUE(engine.wait(id, kLong)) << "it ended well";
}

TEST(StopCallback, ThatTakesItsTimeHoldsUpNoTimeout) {
  Engine engine = open(memory_config(2));
  Gate gate;
  Gate running;
  running.open();
  handle_slow(engine, gate, running);
  engine.handle("heeds", [&](Context& job) -> Result<Json> {
    gate.wait_for(1);
    while (!job.stopping()) std::this_thread::yield();
    return job.error("late");
  });
  engine.enqueue("slow", {}, {.timeout = 1ms, .max_attempts = 1}).value();
  const auto heeds =
      engine.enqueue("heeds", {}, {.timeout = 50ms, .max_attempts = 1}).value();
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(heeds, kLong / 2).error().code, Code::kFailed);
  gate.open();
  engine.stop(kLong);
}

// The handler waits for its callback, and is abandoned with it.
TEST(StopCallback, ThatDoesNotReturnIsLeftAloneWhenTheGraceIsOver) {
  const auto gate = std::make_shared<Gate>();  // theirs, too: they outlive this test
  {
    Engine engine = open(memory_config(1));
    Gate running;
    running.open();
    engine.handle("slow", [gate, &running](Context& job) {
      const std::stop_callback told(job.stop(), [gate] { gate->pass(); });
      running.pass();
      gate->wait_for(1);
    });
    const auto id = engine.enqueue("slow").value();
    ASSERT_TRUE(engine.start());
    running.wait_for(1);
    engine.stop(0s);
    EXPECT_EQ(engine.job(id)->state, State::kAvailable);
    gate->wait_for(1);
  }
  gate->open();
}

TEST(ProgressHook, ThatTakesItsTimeHoldsUpNoTimeout) {
  Engine engine = open(memory_config(2));
  Gate gate;
  engine.handle("talks", [](Context& job) { job.progress(0.5F); });
  engine.handle("heeds", [&](Context& job) -> Result<Json> {
    while (!job.stopping()) std::this_thread::yield();
    return job.error("late");
  });
  engine.on_progress([&](const Claimed&, const Progress&) { gate.pass(); });
  const auto talks =
      engine.enqueue("talks", {}, {.timeout = 1ms, .max_attempts = 1}).value();
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  // By then the other is out of time, and past its ladder.
  for (int i = 0; i < 3; ++i) {
    const auto heeds =
        engine.enqueue("heeds", {}, {.timeout = 50ms, .max_attempts = 1}).value();
    EXPECT_EQ(engine.wait(heeds, kLong / 2).error().code, Code::kFailed);
  }
  EXPECT_EQ(engine.job(talks)->state, State::kRunning) << "its end waits for the hook";
  gate.open();
  EXPECT_FALSE(engine.wait(talks, kLong)) << "and for nothing else";
  EXPECT_EQ(engine.job(talks)->attempts.at(0).klass, OutcomeClass::kTimeoutAbandoned);
  engine.stop(kLong);
}

}  // namespace
}  // namespace carrel
