// A queue that cannot be opened again when an engine has stopped.
#include <carrel/memory.h>

#include <atomic>
#include <memory>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

TEST(Reopen, AQueueThatCannotBeOpenedAgainIsTriedAgainByTheNextStart) {
  std::atomic<bool> away{false};
  Registry registry = Registry::with_builtins();
  registry.add_queue(
      "fragile",
      [&](const Url&, const BackendOptions&) -> Result<std::unique_ptr<Queue>> {
        if (away) return fail(Code::kUnavailable, "its server is away", "fragile");
        return make_memory_queue(1000);
      });
  Config config = memory_config(1);
  config.queue = "fragile:";
  Engine engine = Engine::open(config, registry).value();
  engine.handle("a", [](Context& job) { return job.args(); });
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(engine.enqueue("a", 1).value(), kLong).value(), 1);
  away = true;
  engine.stop(kLong);
  const auto id = engine.enqueue("a", 2);
  ASSERT_TRUE(id) << "a job is one when its row is there";
  for (int i = 0; i < 2; ++i) {
    const auto started = engine.start();
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().message, "its server is away");
  }
  EXPECT_FALSE(engine.drain());
  away = false;
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(*id, kLong).value(), 2);
}

}  // namespace
}  // namespace carrel
