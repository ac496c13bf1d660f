// Handlers that wait in their engine when it stops or ends.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>

#include <atomic>
#include <future>
#include <memory>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

// The child that it waits for is released, too, and would never come.
TEST(WaitInAHandler, EndsWhenTheEngineStops) {
  Engine engine = open(memory_config(1));
  Gate gate;
  gate.open();
  std::promise<Result<Json>> answer;
  engine.handle("child", [](Context&) {});
  engine.handle("parent", [&](Context&) -> Result<Json> {
    const auto child = engine.enqueue("child");
    gate.pass();
    auto waited = engine.wait(child.value(), kLong);
    answer.set_value(waited);
    return waited;
  });
  const auto parent = engine.enqueue("parent").value();
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  engine.stop(kLong);
  const auto waited = answer.get_future().get();
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, Code::kCancelled) << waited.error().message;
  const auto job = engine.job(parent).value();
  EXPECT_EQ(job.state, State::kAvailable);
  EXPECT_EQ(job.attempt, 0);
}

// A store that says when a handler is inside, and whether it was closed around it.
class Watched final : public conformance::StoreWrapper {
 public:
  struct Seen {
    Gate inserting;  // of jobs of the kind "slow"
    std::promise<void> awaiting;
    std::promise<void> closed;
    std::atomic<bool> too_early{false};
  };
  Watched(std::unique_ptr<Store> real, std::shared_ptr<Seen> seen)
      : StoreWrapper(std::move(real)), seen_(std::move(seen)) {}
  ~Watched() override { seen_->closed.set_value(); }
  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration deadline) override {
    if (jobs.front().kind != "slow") return real().insert(jobs, deadline);
    const auto seen = seen_;
    seen->inserting.pass();
    if (closes(*seen)) return {jobs.size(), fail(Code::kUnavailable, "closed")};
    return real().insert(jobs, deadline);
  }
  Result<std::vector<JobId>> await_final(std::span<const JobId> ids,
                                         Duration wait) override {
    const auto seen = seen_;
    seen->awaiting.set_value();
    auto ended = real().await_final(ids, wait);
    if (closes(*seen)) return fail(Code::kUnavailable, "closed");
    return ended;
  }
  void interrupt() noexcept override {
    seen_->inserting.open();
    real().interrupt();
  }

 private:
  // A store that does not wait for who is inside is closed by now, or soon.
  static bool closes(Seen& seen) {
    const auto closed = seen.closed.get_future();
    seen.too_early = closed.wait_for(100ms) == std::future_status::ready;
    return seen.too_early;
  }

  const std::shared_ptr<Seen> seen_;
};

class AbandonedHandler : public testing::Test {
 protected:
  Engine open_engine() {
    Registry registry = Registry::with_builtins();
    registry.add_store(
        "watched",
        [this](const Url&, const BackendOptions& o) -> Result<std::unique_ptr<Store>> {
          return std::make_unique<Watched>(make_memory_store(o), seen_);
        });
    Config config = memory_config(1);
    config.store = "watched:";
    config.worker.beat = 1h;  // it is in the store when that ends
    config.worker.lease = 4h;
    return Engine::open(config, registry).value();
  }

  const std::shared_ptr<Watched::Seen> seen_ = std::make_shared<Watched::Seen>();
  std::promise<Error> answer_;
};

TEST_F(AbandonedHandler, InAnEnqueueIsWaitedForByTheStore) {
  {
    Engine engine = open_engine();
    engine.handle("a", [&](Context&) {
      const auto id = engine.enqueue("slow");
      answer_.set_value(id ? Error{} : id.error());
    });
    ASSERT_TRUE(engine.enqueue("a"));
    ASSERT_TRUE(engine.start());
    seen_->inserting.wait_for(1);
    engine.stop(0s);
  }
  EXPECT_EQ(answer_.get_future().get().message, "");
  EXPECT_FALSE(seen_->too_early);
}

TEST_F(AbandonedHandler, InAWaitIsToldThatTheEngineEnds) {
  {
    Engine engine = open_engine();
    engine.handle("child", [](Context&) {});
    engine.handle("parent", [&](Context&) {
      const auto child = engine.enqueue("child");
      answer_.set_value(engine.wait(child.value(), kLong).error());
    });
    ASSERT_TRUE(engine.enqueue("parent"));
    ASSERT_TRUE(engine.start());
    seen_->awaiting.get_future().wait();
    engine.stop(0s);
  }
  EXPECT_EQ(answer_.get_future().get().code, Code::kCancelled);
  EXPECT_FALSE(seen_->too_early);
}

}  // namespace
}  // namespace carrel
