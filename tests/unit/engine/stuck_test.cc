// What becomes of other jobs where handlers do not heed their stop, and have their
// threads for good.
#include <memory>
#include <string>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

constexpr EnqueueOptions kDeaf{.timeout = 5ms, .max_attempts = 1};

// An engine with one thread in each isolation; "deaf" waits at the gate, whatever it is
// told, and "other" does not.
class Stuck : public testing::TestWithParam<const char*> {
 protected:
  static Config config(std::size_t prefetch) {
    Config config = memory_config(1);
    config.worker.prefetch = prefetch;
    for (const char* kind : {"deaf", "other"}) {
      config.jobs[kind] = config.defaults;
      config.jobs[kind].isolation = GetParam();
    }
    config.jobs["deaf"].key = config.jobs["other"].key = is_mutex() ? "{n}" : "";
    const bool is_thread = GetParam() == std::string("thread");
    config.jobs["elsewhere"].isolation = is_thread ? "mutex" : "thread";
    return config;
  }
  static bool is_mutex() { return GetParam() == std::string("mutex"); }
  Engine open_engine(std::size_t prefetch = 0) {
    Engine engine = open(config(prefetch));
    engine.handle("deaf", [this](Context&) { gate_.pass(); });
    for (const char* kind : {"other", "elsewhere"}) {
      engine.handle(kind, [](Context&) { return 1; });
    }
    return engine;
  }
  // Until no thread of its isolation is left.
  void deafen(Engine& engine) {
    for (int n = 0; n < 2; ++n) {
      ASSERT_FALSE(engine.wait(engine.enqueue("deaf", {{"n", n}}, kDeaf).value(), kLong));
    }
    ASSERT_EQ(engine.own_health().exhausted, std::vector<std::string>{GetParam()});
  }

  Gate gate_;
};
INSTANTIATE_TEST_SUITE_P(, Stuck, testing::Values("thread", "mutex"),
                         [](const auto& of) { return std::string(of.param); });

TEST_P(Stuck, WhereNoThreadIsLeftItsJobsAreLeftToOthersAndThoseOfOthersRun) {
  Engine engine = open_engine();
  ASSERT_TRUE(engine.start());
  deafen(engine);
  const auto other = engine.enqueue("other", {{"n", 7}}).value();
  EXPECT_TRUE(engine.wait(engine.enqueue("elsewhere").value(), kLong));
  EXPECT_EQ(engine.job(other)->state, State::kAvailable);
  gate_.open();
  EXPECT_TRUE(engine.wait(other, kLong)) << "as soon as a thread is back";
  EXPECT_TRUE(engine.own_health().exhausted.empty());
}

TEST_P(Stuck, WhatWaitsForAThreadIsGivenBackWhenTheLastIsLost) {
  Engine engine = open_engine(3);
  std::vector<Request> requests;
  for (int n = 0; n < 2; ++n) requests.push_back({"deaf", {{"n", n}}, kDeaf});
  for (int n = 2; n < 4; ++n) requests.push_back({"other", {{"n", n}}, {.priority = 5}});
  const auto ids = engine.enqueue(requests);
  ASSERT_TRUE(engine.start());
  for (int n : {0, 1})
    EXPECT_FALSE(engine.wait(ids[static_cast<std::size_t>(n)].value(), kLong));
  for (int n : {2, 3}) {
    const auto job = engine.job(ids[static_cast<std::size_t>(n)].value());
    EXPECT_EQ(job->state, State::kAvailable);
    EXPECT_EQ(job->attempt, 0);
    EXPECT_TRUE(job->attempts.empty());
  }
  gate_.open();
  for (int n : {2, 3})
    EXPECT_TRUE(engine.wait(ids[static_cast<std::size_t>(n)].value(), kLong));
}

TEST_P(Stuck, ADrainSaysWhatItLeft) {
  Engine engine = open_engine();
  for (int n = 0; n < 2; ++n) ASSERT_TRUE(engine.enqueue("deaf", {{"n", n}}, kDeaf));
  const auto other = engine.enqueue("other", {{"n", 7}}, {.priority = 5}).value();
  const auto drained = engine.drain();
  ASSERT_FALSE(drained);
  EXPECT_EQ(drained.error().code, Code::kUnavailable);
  EXPECT_NE(drained.error().message.find(GetParam()), std::string::npos);
  EXPECT_EQ(engine.job(other)->state, State::kAvailable);
  gate_.open();
}

TEST_P(Stuck, AnAttemptThatWasAbandonedSaysHowLongItRan) {
  Engine engine = open_engine();
  ASSERT_TRUE(engine.start());
  const auto deaf = engine.enqueue("deaf", {{"n", 1}}, kDeaf).value();
  ASSERT_FALSE(engine.wait(deaf, kLong));
  EXPECT_GE(engine.job(deaf)->attempts.at(0).usage.wall, 5ms);
  gate_.open();
}

TEST(StuckKey, HoldsUpNoOtherKeyAndItsJobsWaitInTheStore) {
  Config config = memory_config(1);
  config.worker.prefetch = 1;
  config.jobs["job"] = config.defaults;
  config.jobs["job"].isolation = "mutex";
  config.jobs["job"].key = "{key}";
  Engine engine = open(config);
  Gate gate;
  engine.handle("job", [&](Context& job) {
    if (job.args()["deaf"] == true) gate.pass();
  });
  ASSERT_TRUE(engine.start());
  const auto deaf =
      engine.enqueue("job", {{"key", "a"}, {"deaf", true}}, {.timeout = 20ms}).value();
  gate.wait_for(1);
  // One that waits for it already, and one that comes after it was abandoned: its retry.
  const auto same = engine.enqueue("job", {{"key", "a"}, {"deaf", false}}).value();
  const auto free = engine.enqueue("job", {{"key", "b"}, {"deaf", false}}).value();
  EXPECT_TRUE(engine.wait(free, kLong));
  const auto until = std::chrono::steady_clock::now() + kLong;
  const auto waits = [&](JobId id) {
    while (engine.job(id)->state != State::kScheduled &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    return engine.job(id)->state == State::kScheduled;
  };
  EXPECT_TRUE(waits(same));
  EXPECT_TRUE(waits(deaf));
  EXPECT_EQ(engine.job(deaf)->attempts.size(), 1U) << "to wait costs no attempt";
  const auto last = engine.enqueue("job", {{"key", "b"}, {"deaf", false}}).value();
  EXPECT_TRUE(engine.wait(last, kLong)) << "neither has a slot";
  gate.open();
}

class EndOnly final : public RunSink {
 public:
  void on_progress(float /*fraction*/, std::string_view /*message*/) noexcept override {}
  void on_checkpoint(std::string_view /*bytes*/) noexcept override {}
  void on_log(std::string_view /*line*/) noexcept override {}
  void on_end(Outcome /*outcome*/) noexcept override { ended = true; }
  std::atomic<bool> ended{false};
};

// Else those who cancel what waits for a key that does not come back fill the memory.
TEST(StuckKey, WhatIsCancelledInItsLineKeepsNothingOfItsJob) {
  KindSpec spec;
  spec.kind = "job";
  Gate gate;
  spec.handler = [&](Context&) -> Result<Json> {
    gate.pass();
    return Json();
  };
  IsolationSetup setup;
  setup.kinds = {&spec, 1};
  const Registry registry = Registry::with_builtins();
  const auto mutex = (*registry.isolation("mutex"))->make(setup).value();
  const auto start = [&](const std::shared_ptr<EndOnly>& sink, std::weak_ptr<void>& job) {
    auto claimed = std::make_shared<Claimed>();
    claimed->kind = "job";
    job = claimed;
    Task task{std::move(claimed), {}, sink};
    return std::move(mutex->start({&task, 1}).front()).value();
  };
  const auto held = std::make_shared<EndOnly>();
  const auto waiting = std::make_shared<EndOnly>();
  std::weak_ptr<void> held_job;
  std::weak_ptr<void> waiting_job;
  const auto holder = start(held, held_job);
  gate.wait_for(1);
  const auto next = start(waiting, waiting_job);
  next->request_stop(StopReason::kCancel);
  EXPECT_TRUE(waiting->ended);
  EXPECT_TRUE(waiting_job.expired());
  EXPECT_FALSE(held_job.expired());
  gate.open();
}

}  // namespace
}  // namespace carrel
