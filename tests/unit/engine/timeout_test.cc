// The ladder where nothing can be killed: threads.
#include <atomic>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

TEST(Timeout, AHandlerThatHeedsTheTokenEndsAsWallTimeoutAndIsRetried) {
  Config config = memory_config();
  config.defaults.stop_grace = kLong;  // it heeds, however slow the machine is
  Engine engine = open(config);
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
