// What hooks may do.
#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <semaphore>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

TEST(Hooks, AHookMayCallItsEngineButNotWaitInIt) {
  Engine engine = open(memory_config(1));
  std::promise<JobId> made;
  std::vector<Result<Json>> waited;
  engine.handle("first", [](Context&) { return 1; });
  engine.handle("second", [](Context&) { return 2; });
  engine.on_finished([](const Event&) { throw std::runtime_error("is logged"); });
  engine.on_finished([](const Event&) { throw 7; });
  engine.on_finished([&](const Event& event) {
    const JobId id = event.job.lease.id;
    waited.push_back(
        engine.wait(id, kLong));  // it is final: there is nothing to wait for
    EXPECT_EQ(engine.job(id)->state, State::kCompleted);
    EXPECT_TRUE(engine.health());
    if (event.job.kind != "first") return;
    const auto later = engine.enqueue("second", {}, {.delay = 1h}).value();
    EXPECT_EQ(engine.wait(later, 0s).error().code, Code::kTimeout);
    EXPECT_EQ(engine.wait(later, kLong).error().code, Code::kInvalid);
    EXPECT_EQ(engine.cancel(later).value(), Cancelled::kCancelled);
    made.set_value(engine.enqueue("second").value());
  });
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(engine.enqueue("first").value(), kLong).value(), 1);
  EXPECT_EQ(engine.wait(made.get_future().get(), kLong).value(), 2);
  engine.stop(kLong);
  ASSERT_EQ(waited.size(), 2U);
  EXPECT_EQ(waited[0].value(), 1);
  EXPECT_EQ(waited[1].value(), 2);
}

TEST(Hooks, MayThrowWhatSaysNothing) {
  struct SaysNothing : std::exception {
    const char* what() const noexcept override { return nullptr; }
  };
  Engine engine = open(memory_config(1));
  engine.handle("a", [](Context& job) { job.progress(0.5F); });
  engine.on_progress([](const Claimed&, const Progress&) { throw SaysNothing(); });
  engine.on_finished([](const Event&) { throw SaysNothing(); });
  const auto id = engine.enqueue("a").value();
  ASSERT_TRUE(engine.drain());
  EXPECT_TRUE(engine.wait(id, 0s));
}

TEST(Hooks, OneThatTakesItsTimeHoldsUpNoEnd) {
  Engine engine = open(memory_config(2));
  Gate gate;
  Gate told;
  std::atomic<int> heard{0};
  engine.handle("first", [](Context&) {});
  engine.handle("second", [&](Context&) { told.pass(); });
  engine.on_finished([&](const Event&) {
    ++heard;
    gate.pass();
  });
  const auto second = engine.enqueue("second").value();
  ASSERT_TRUE(engine.start());
  told.wait_for(1);
  engine.enqueue("first").value();
  gate.wait_for(1);  // in the hook
  std::thread stopper([&] { engine.stop(kLong); });
  told.open();
  EXPECT_TRUE(engine.wait(second, kLong / 2)) << "it is stored";
  EXPECT_EQ(heard, 1);
  gate.open();
  stopper.join();
  EXPECT_EQ(heard, 2) << "stop() waits for hooks";
}

TEST(Hooks, HearTheAttemptsOfAJobInTheirOrder) {
  Engine engine = open(memory_config(4));
  std::map<JobId, std::vector<int>> attempts;
  engine.handle("fails",
                [](Context& job) -> Result<Json> { return job.retry_in(1us, "again"); });
  engine.on_failed([&](const Event& event) {
    attempts[event.job.lease.id].push_back(event.job.attempt);
  });
  for (int i = 0; i < 20; ++i) engine.enqueue("fails", {}, {.max_attempts = 3}).value();
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(attempts.size(), 20U);
  for (const auto& [id, seen] : attempts) EXPECT_EQ(seen, (std::vector{1, 2, 3}));
}

constexpr int kJobs = 3000;

// What waits for them is kept in memory. `run`: the engine runs its jobs, to the end.
void expect_held_up(const std::function<void(Engine&)>& run) {
  Engine engine = open(memory_config(2));
  std::counting_semaphore<kJobs> passes{0};
  std::atomic<int> ran{0};
  std::atomic<int> heard{0};
  engine.handle("a", [&](Context&) { ++ran; });
  engine.on_finished([&](const Event&) {
    passes.acquire();
    ++heard;
  });
  const std::vector<Request> requests(kJobs, Request{"a", {}});
  for (const auto& id : engine.enqueue(requests)) ASSERT_TRUE(id);
  std::thread runner([&] { run(engine); });
  // How many have run when no more do: time enough for all of them.
  const auto settled = [&] {
    const auto soon = std::chrono::steady_clock::now() + 100ms;
    while (std::chrono::steady_clock::now() < soon) std::this_thread::yield();
    return ran.load();
  };
  while (ran < 1000) std::this_thread::yield();
  EXPECT_LT(settled(), 1100);
  // Of the second hundred all came at once, with hundreds behind them.
  for (const int passed : {100, 200}) {
    const int behind = settled();
    passes.release(100);
    while (heard < passed) std::this_thread::yield();
    const auto until = std::chrono::steady_clock::now() + kLong / 5;
    while (ran == behind && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    EXPECT_GT(ran, behind) << "there is room for these, before all are told";
  }
  passes.release(kJobs - 200);
  runner.join();
  EXPECT_EQ(ran, kJobs);
  EXPECT_EQ(heard, kJobs) << "drain() and stop() wait for hooks";
}

TEST(Hooks, ThatAreFarBehindHoldUpNewJobs) {
  expect_held_up([](Engine& engine) {
    ASSERT_TRUE(engine.start());
    while (engine.health()->completed < kJobs) std::this_thread::yield();
    engine.stop(kLong);
  });
}

TEST(Hooks, ThatAreFarBehindHoldUpADrain) {
  expect_held_up([](Engine& engine) { EXPECT_TRUE(engine.drain()); });
}

}  // namespace
}  // namespace carrel
