// What hooks may do.
#include <future>
#include <stdexcept>
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

}  // namespace
}  // namespace carrel
