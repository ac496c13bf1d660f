// What a run reports where its end and a beat cross: nothing of it is lost, and the order
// stays.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>

#include <atomic>
#include <future>
#include <memory>
#include <utility>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

// Its next beat that carries something waits at a gate, and fails if the test says so.
class SlowBeats final : public conformance::StoreWrapper {
 public:
  struct State {
    Gate gate;
    std::atomic<bool> slow{true};
    std::atomic<bool> fails{false};
    bool blocks = false;
  };
  SlowBeats(std::unique_ptr<Store> real, std::shared_ptr<State> state)
      : StoreWrapper(std::move(real)), state_(std::move(state)) {}

  StoreTraits traits() const noexcept override {
    StoreTraits traits = StoreWrapper::traits();
    traits.blocks = state_->blocks;
    return traits;
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    const bool carries = !beats.empty() && !beats.front().log.empty();
    if (carries && state_->slow.exchange(false)) {
      state_->gate.pass();
      if (state_->fails) return fail(Code::kUnavailable, "the beat was lost");
    }
    return real().beat(worker, settled, beats, renew, lease);
  }

 private:
  std::shared_ptr<State> state_;
};

// Whether whoever ends a run commits its end, or a thread for stores that block.
class News : public testing::TestWithParam<bool> {
 protected:
  // A job of one retry, whose first attempt fails while a beat carries what it said
  // before. The record, when all is over.
  JobRecord run(bool beat_fails) {
    state_->blocks = GetParam();
    state_->fails = beat_fails;
    Registry registry = Registry::with_builtins();
    registry.add_store(
        "slow",
        [&](const Url&, const BackendOptions& o) -> Result<std::unique_ptr<Store>> {
          return std::make_unique<SlowBeats>(make_memory_store(o), state_);
        });
    Config config = memory_config(1);
    config.store = "slow:";
    config.queue = "memory:";
    config.worker.beat = 1ms;
    Engine engine = Engine::open(config, registry).value();
    engine.handle("job", [&](Context& job) -> Result<Json> {
      if (job.job().attempt > 1) return Json(job.job().checkpoint);
      job.checkpoint("page 7");
      job.log("before");
      state_->gate.wait_for(1);
      job.log("after");
      return fail(Code::kInternal, "on purpose");
    });
    engine.handle("other", [](Context&) -> Result<Json> { return Json(); });
    const JobId id = engine.enqueue("job", {}, {.max_attempts = 2}).value();
    EXPECT_TRUE(engine.start());
    state_->gate.wait_for(1);
    // Behind it, so the first has ended and was handed over for storing.
    const JobId other = engine.enqueue("other").value();
    EXPECT_TRUE(engine.wait(other, kLong));
    EXPECT_EQ(engine.job(id)->attempts.size(), 0U) << "its end came before its news";
    state_->gate.open();
    EXPECT_EQ(engine.wait(id, kLong).value(), Json("page 7"));
    return engine.job(id).value();
  }

  const std::shared_ptr<SlowBeats::State> state_ = std::make_shared<SlowBeats::State>();
};

TEST_P(News, AnEndWaitsForTheBeatThatCarriesWhatWasSaidBefore) {
  const JobRecord job = run(false);
  EXPECT_EQ(job.log, "before\nafter\n");
}

TEST_P(News, WhatABeatCouldNotCarryGoesWithTheEnd) {
  const JobRecord job = run(true);
  EXPECT_EQ(job.log, "before\nafter\n");
}

INSTANTIATE_TEST_SUITE_P(Stores, News, testing::Bool(), [](const auto& store) {
  return store.param ? "ThatBlock" : "ThatDoNot";
});

}  // namespace
}  // namespace carrel
