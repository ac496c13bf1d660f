// The ladder where nothing can be killed: threads.
#include <atomic>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

TEST(Timeout, AHandlerThatHeedsTheTokenEndsAsWallTimeoutAndIsRetried) {
  Engine engine = open(memory_config());
  engine.handle("slow", [](Context& job) -> Result<Json> {
    if (job.attempt() == 2) return Json("quick this time");
    Gate gate;
    std::stop_callback wake(job.stop(), [&] { gate.open(); });
    gate.pass();
    return job.error("stopped");
  });
  const auto id = engine.enqueue("slow", {}, {.timeout = 5ms}).value();
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(id, kLong).value(), "quick this time");
  EXPECT_EQ(engine.job(id)->attempts.at(0).klass, OutcomeClass::kWallTimeout);
}

TEST(Timeout, Corpus2_AThreadThatIgnoresItsStopIsAbandonedAndReplaced) {
  Engine engine = open(memory_config(1));
  Gate gate;
  std::atomic<int> deaf_runs{0};
  engine.handle("deaf", [&](Context&) {
    ++deaf_runs;
    gate.pass();
  });
  engine.handle("other", [](Context&) { return 1; });
  const auto deaf =
      engine.enqueue("deaf", {}, {.timeout = 5ms, .max_attempts = 1}).value();
  ASSERT_TRUE(engine.start());
  const auto result = engine.wait(deaf, kLong);
  ASSERT_FALSE(result);
  EXPECT_EQ(engine.job(deaf)->attempts.at(0).klass, OutcomeClass::kTimeoutAbandoned);
  EXPECT_EQ(engine.health()->stuck, 1U);
  // The only thread is stuck: another one has its place.
  EXPECT_EQ(engine.wait(engine.enqueue("other").value(), kLong).value(), 1);
  gate.open();
  const auto until = std::chrono::steady_clock::now() + kLong;
  while (engine.health()->stuck > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_EQ(engine.health()->stuck, 0U);
  EXPECT_EQ(engine.job(deaf)->state, State::kDiscarded) << "its late end changes nothing";
  EXPECT_EQ(deaf_runs, 1);
}

TEST(Timeout, Corpus3_TheSameKeyIsSerialAndFirstComeFirstServedWhileOtherKeysMove) {
  Config config = memory_config(4);
  config.jobs["credit"].isolation = "mutex";
  config.jobs["credit"].key = "community:{community}";
  Engine engine = open(config);
  Gate gate;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::mutex mutex;
  std::vector<int> order;
  engine.handle("credit", [&](Context& job) {
    if (job.args().at("community") == "b") return;
    most = std::max(most.load(), ++inside);
    gate.pass();
    {
      std::lock_guard lock(mutex);
      order.push_back(job.args().at("n").get<int>());
    }
    --inside;
  });
  std::vector<JobId> same;
  for (int i = 0; i < 6; ++i) {
    same.push_back(engine.enqueue("credit", {{"community", "a"}, {"n", i}}).value());
  }
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  // Three more of key "a" wait for it and hold the other slots; none of them holds a
  // thread.
  const auto other =
      engine.enqueue("credit", {{"community", "b"}}, {.priority = -1}).value();
  EXPECT_EQ(gate.visitors(), 1U);
  gate.open();
  EXPECT_TRUE(engine.wait(other, kLong));
  for (const auto id : same) ASSERT_TRUE(engine.wait(id, kLong));
  EXPECT_EQ(most, 1);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(Timeout, AKeyThatTheArgumentsLackFailsTheAttemptByName) {
  Config config = memory_config();
  config.jobs["credit"].isolation = "mutex";
  config.jobs["credit"].key = "community:{community}";
  config.jobs["credit"].max_attempts = 1;
  Engine engine = open(config);
  engine.handle("credit", [](Context&) {});
  const auto id = engine.enqueue("credit", {{"user", 7}}).value();
  ASSERT_TRUE(engine.drain());
  const auto result = engine.wait(id, 0s);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("\"community\""), std::string::npos);
}

}  // namespace
}  // namespace carrel
