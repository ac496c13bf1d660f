// The test mode, in which enqueue runs the job.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

Config inline_config() {
  Config config = memory_config();
  config.mode = Mode::kInline;
  return config;
}

void drain_until_final(Engine& engine, JobId id) {
  while (!is_final(engine.job(id)->state)) ASSERT_TRUE(engine.drain());
}

TEST(Inline, TheJobRunsInTheCaller) {
  Engine engine = open(inline_config());
  std::thread::id ran_on;
  engine.handle("here", [&](Context& job) {
    ran_on = std::this_thread::get_id();
    job.progress(1, "done");
    return 7;
  });
  const auto id = engine.enqueue("here").value();
  EXPECT_TRUE(ran_on == std::this_thread::get_id());
  EXPECT_EQ(engine.job(id)->state, State::kCompleted);
  EXPECT_EQ(engine.job(id)->progress->message, "done");
  EXPECT_EQ(engine.wait(id, 0s).value(), 7);
}

TEST(Inline, AHandlerOfForkRunsInTheCallerToo) {
  Config config = inline_config();
  config.jobs["forked"].isolation = "fork";
  std::thread elsewhere;  // with it, no process server could be forked
  Gate gate;
  elsewhere = std::thread([&] { gate.pass(); });
  Engine engine = open(config);
  engine.handle("forked", [](Context&) { return static_cast<int>(getpid()); });
  const auto id = engine.enqueue("forked");
  EXPECT_TRUE(id) << id.error().message;
  if (id) {
    EXPECT_EQ(engine.wait(*id, 0s).value(), getpid());
    const auto later = engine.enqueue("forked", {}, {.delay = 1ms}).value();
    drain_until_final(engine, later);
    EXPECT_EQ(engine.wait(later, 0s).value(), getpid());
  }
  gate.open();
  elsewhere.join();
}

TEST(Inline, PreloadsRunOnceInTheHost) {
  Config config = inline_config();
  config.jobs["forked"].isolation = "fork";
  Engine engine = open(config);
  int loaded = 0;
  ASSERT_TRUE(engine.preload([&] { ++loaded; }));
  engine.handle("forked", [&](Context&) { return loaded; });
  EXPECT_EQ(engine.wait(engine.enqueue("forked").value(), 0s).value(), 1);
  EXPECT_EQ(engine.wait(engine.enqueue("forked").value(), 0s).value(), 1);
}

TEST(Inline, APreloadThatFailsIsTold) {
  Engine engine = open(inline_config());
  ASSERT_TRUE(engine.preload([] { throw std::runtime_error("no model"); }));
  const auto ignited = engine.ignite();
  EXPECT_EQ(ignited.error().code, Code::kInvalid);
  EXPECT_NE(ignited.error().message.find("no model"), std::string::npos);

  struct SaysNothing : std::exception {
    const char* what() const noexcept override { return nullptr; }
  };
  Engine other = open(inline_config());
  ASSERT_TRUE(other.preload([] { throw SaysNothing(); }));
  EXPECT_EQ(other.ignite().error().message,
            "a preload failed: an exception that says nothing");
}

TEST(Inline, HooksRunOneAtATime_AlsoWithinEachOther) {
  Engine engine = open(inline_config());
  engine.handle("job", [](Context&) {});
  std::atomic<int> within{0};
  std::atomic<int> most{0};
  std::atomic<int> heard{0};
  const auto here = std::make_shared<std::atomic<std::thread::id>>();
  engine.on_finished([&](const Event& event) {
    const bool nested = here->load() == std::this_thread::get_id();
    if (!nested && ++within > most) most = within.load();
    ++heard;
    if (!nested && event.job.priority == 0) {
      here->store(std::this_thread::get_id());
      EXPECT_TRUE(engine.enqueue("job", {}, {.priority = 1}));
      here->store({});
    }
    if (!nested) --within;
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) EXPECT_TRUE(engine.enqueue("job"));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
  EXPECT_EQ(heard, 400);
}

TEST(Inline, AFailureIsRetriedWhenItIsDue) {
  Engine engine = open(inline_config());
  int runs = 0;
  engine.handle("flaky", [&](Context&) -> Result<Json> {
    if (++runs == 1) throw std::runtime_error("not yet");
    return runs;
  });
  const auto id = engine.enqueue("flaky").value();
  EXPECT_EQ(engine.job(id)->state, State::kRetryable);
  EXPECT_EQ(engine.job(id)->attempts.at(0).message, "not yet");
  drain_until_final(engine, id);
  EXPECT_EQ(engine.wait(id, 0s).value(), 2);
}

TEST(Inline, WhatAnEndSetsFreeRunsAfterIt) {
  Config config = inline_config();
  config.jobs["one"].concurrency.limit = 1;
  Engine engine = open(config);
  std::vector<int> order;
  engine.handle("one", [&](Context& job) {
    const int n = job.args().value("n", 0);
    if (n == 1) {
      EXPECT_TRUE(engine.enqueue("one", {{"n", 10}}));
      EXPECT_EQ(order, std::vector<int>{}) << "it is held back by this one";
    }
    order.push_back(n);
  });
  const std::vector<Request> both{{"one", {{"n", 1}}, {}}, {"one", {{"n", 2}}, {}}};
  for (const auto& id : engine.enqueue(both)) EXPECT_TRUE(id);
  EXPECT_EQ(order.size(), 3U);
  EXPECT_EQ(order.front(), 1);
}

TEST(Inline, AChainOfEnqueuesTakesNoStackWithoutEnd) {
  Engine engine = open(inline_config());
  constexpr int kLinks = 20'000;
  int deepest = 0;
  int depth = 0;
  int ran = 0;
  engine.handle("link", [&](Context& job) {
    deepest = std::max(deepest, ++depth);
    ++ran;
    const int n = job.args()["n"];
    if (n < kLinks) EXPECT_TRUE(engine.enqueue("link", {{"n", n + 1}}));
    --depth;
  });
  ASSERT_TRUE(engine.enqueue("link", {{"n", 1}}));
  EXPECT_EQ(ran, kLinks) << "all of them, before the first enqueue has returned";
  EXPECT_EQ(deepest, 32);
}

TEST(Inline, WhatARetryOrResumeMakesAvailableRuns) {
  Engine engine = open(inline_config());
  bool good = false;
  int ran = 0;
  engine.handle("job", [&](Context& job) -> Result<Json> {
    ++ran;
    if (!good) return job.error("not yet");
    return {};
  });
  const auto id = engine.enqueue("job", {}, {.max_attempts = 1}).value();
  EXPECT_EQ(engine.job(id)->state, State::kDiscarded);
  good = true;
  ASSERT_TRUE(engine.retry(id));
  EXPECT_EQ(engine.job(id)->state, State::kCompleted);
  ASSERT_TRUE(engine.pause("default"));
  const auto held = engine.enqueue("job").value();
  EXPECT_EQ(engine.job(held)->state, State::kAvailable);
  ASSERT_TRUE(engine.resume("default"));
  EXPECT_EQ(engine.job(held)->state, State::kCompleted);
  EXPECT_EQ(ran, 3);
  const Health health = engine.own_health();
  EXPECT_EQ(health.completed, 2U);
  EXPECT_EQ(health.failed, 1U);
}

TEST(Inline, AHookThatThrowsIsNotTheCallersConcern) {
  Engine engine = open(inline_config());
  int told = 0;
  engine.handle("bad", [](Context&) { throw std::runtime_error("no good"); });
  engine.on_finished([](const Event&) { throw std::runtime_error("first hook"); });
  engine.on_finished([&](const Event&) { ++told; });
  engine.on_failed([](const Event&) { throw 7; });
  const auto id = engine.enqueue("bad", {}, {.max_attempts = 1});
  ASSERT_TRUE(id);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(engine.job(*id)->state, State::kDiscarded);
}

}  // namespace
}  // namespace carrel
