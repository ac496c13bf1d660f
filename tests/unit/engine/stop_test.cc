// stop() from wherever it may come: handlers and hooks of the engine itself, beside
// run(), drain() and another stop().
#include <carrel/conformance/faults.h>
#include <carrel/conformance/store_wrapper.h>
#include <carrel/log.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

// Where a host may ask its engine to stop while a job runs or has just ended.
enum class Place { kHandler, kProgress, kFinished, kFailed };
constexpr Place kPlaces[] = {Place::kHandler, Place::kProgress, Place::kFinished,
                             Place::kFailed};

std::string name_of(Place place) {
  constexpr const char* kNames[] = {"handler", "on_progress", "on_finished", "on_failed"};
  return kNames[static_cast<int>(place)];
}

// An engine whose only thread runs jobs; at `place` of the first, `ask` is called.
class Asking {
 public:
  Asking(Place place, std::function<void(Engine&)> ask)
      : engine_(open(memory_config(1))), ask_(std::move(ask)) {
    engine_.handle("a", [this, place](Context& job) -> Result<Json> {
      job.progress(0.5F);
      if (place == Place::kHandler) ask_once();
      if (place == Place::kFailed) return job.error("no good");
      return Json();
    });
    const auto at = [&](Place here) {
      return [this, ask_here = place == here](const auto&...) {
        if (ask_here) ask_once();
      };
    };
    if (place == Place::kProgress) engine_.on_progress(at(Place::kProgress));
    if (place == Place::kFinished) engine_.on_finished(at(Place::kFinished));
    if (place == Place::kFailed) engine_.on_failed(at(Place::kFailed));
    for (int i = 0; i < 3; ++i) {
      ids_.push_back(engine_.enqueue("a", {}, {.max_attempts = 1}).value());
    }
  }
  Engine& engine() { return engine_; }
  // Of its jobs; the others wait to be run.
  std::size_t ended() {
    std::size_t ended = 0;
    for (const auto id : ids_) {
      const auto job = engine_.job(id).value();
      EXPECT_TRUE(is_final(job.state) || job.state == State::kAvailable)
          << to_string(job.state);
      ended += is_final(job.state) ? 1 : 0;
    }
    return ended;
  }

 private:
  void ask_once() {
    if (!std::exchange(asked_, true)) ask_(engine_);
  }

  Engine engine_;
  std::function<void(Engine&)> ask_;
  std::vector<JobId> ids_;
  bool asked_ = false;
};

void stop_long(Engine& engine) { engine.stop(kLong); }

TEST(Stop, InAHandlerOrHookItEndsRun) {
  for (const Place place : kPlaces) {
    SCOPED_TRACE(name_of(place));
    Asking it(place, stop_long);
    EXPECT_TRUE(it.engine().run());
    EXPECT_GE(it.ended(), 1U);
    EXPECT_FALSE(it.engine().health()->running);
  }
}

TEST(Stop, InAHandlerOrHookItEndsWhatStartBegan) {
  for (const Place place : kPlaces) {
    SCOPED_TRACE(name_of(place));
    Asking it(place, stop_long);
    ASSERT_TRUE(it.engine().start());
    while (it.engine().health()->running) std::this_thread::yield();
    EXPECT_GE(it.ended(), 1U);
    ASSERT_TRUE(it.engine().start()) << "it starts again";
    it.engine().stop(kLong);
  }
}

TEST(Stop, InAHandlerOrHookItIsDoneBeforeTheNextStart) {
  for (const Place place : kPlaces) {
    SCOPED_TRACE(name_of(place));
    Gate asked;
    Asking it(place, [&](Engine& engine) {
      engine.stop(kLong);
      asked.open();
    });
    ASSERT_TRUE(it.engine().start());
    asked.pass();
    ASSERT_TRUE(it.engine().start());
    it.engine().stop(kLong);
    EXPECT_GE(it.ended(), 1U);
  }
}

TEST(Stop, InAHandlerOrHookItEndsDrain) {
  for (const Place place : kPlaces) {
    SCOPED_TRACE(name_of(place));
    Asking it(place, stop_long);
    const auto report = it.engine().drain();
    ASSERT_TRUE(report);
    EXPECT_EQ(report->completed + report->failed, it.ended());
    EXPECT_GE(it.ended(), 1U);
  }
}

// Who asks how a job is doing has no part in the stop that is under way.
TEST(Stop, AHandlerOrHookThatAskedForItMayLookAtAJob) {
  for (const Place place : kPlaces) {
    SCOPED_TRACE(name_of(place));
    Gate looked;
    Asking it(place, [&](Engine& engine) {
      ASSERT_TRUE(engine.pause("held"));
      const auto held = engine.enqueue("a", {}, {.queue = "held"}).value();
      engine.stop(kLong);
      EXPECT_EQ(engine.wait(held, 0s).error().code, Code::kTimeout);
      EXPECT_TRUE(engine.own_health().running) << "the stop waits for its caller";
      looked.open();
    });
    ASSERT_TRUE(it.engine().start());
    looked.pass();
    it.engine().stop(kLong);
  }
}

// The one whose handler asked ends by itself; none is begun after it.
TEST(Stop, AHandlerThatAsksForItIsTheLast) {
  Engine engine = open(memory_config(1));
  std::atomic<int> ran{0};
  engine.handle("a", [&](Context&) {
    ++ran;
    engine.stop(kLong);
  });
  const auto first = engine.enqueue("a").value();
  const auto second = engine.enqueue("a").value();
  ASSERT_TRUE(engine.run());
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(engine.job(first)->state, State::kCompleted);
  EXPECT_EQ(engine.job(second)->state, State::kAvailable);
}

// Many ask at once and again, each in a life of its own.
TEST(Stop, EveryJobMayAskForIt) {
  Engine engine = open(memory_config(4));
  engine.handle("a", [&](Context&) { engine.stop(kLong); });
  engine.on_finished([&](const Event&) { engine.stop(kLong); });
  for (int round = 0; round < 20; ++round) {
    std::vector<JobId> ids;
    for (int i = 0; i < 8; ++i) ids.push_back(engine.enqueue("a").value());
    // One that waited for its thread when a stop was asked for is released.
    const auto open_ones = [&] {
      return std::any_of(ids.begin(), ids.end(), [&](JobId id) {
        return engine.job(id)->state != State::kCompleted;
      });
    };
    while (open_ones()) ASSERT_TRUE(engine.run());
    for (const auto id : ids) EXPECT_TRUE(engine.wait(id, 0s));
  }
}

TEST(Stop, NoHandlerOrHookStartsOrDrainsItsOwnEngine) {
  for (const Place place : kPlaces) {
    SCOPED_TRACE(name_of(place));
    std::vector<Error> errors;
    Asking it(place, [&](Engine& engine) {
      for (auto ok : {engine.start(), engine.run()}) {
        if (!ok) errors.push_back(ok.error());
      }
      auto drained = engine.drain();
      if (!drained) errors.push_back(drained.error());
    });
    ASSERT_TRUE(it.engine().drain());
    ASSERT_EQ(errors.size(), 3U);
    for (const auto& error : errors) EXPECT_EQ(error.code, Code::kInvalid);
  }
}

// Two engines may stop each other's; only their own threads they do not wait for.
TEST(Stop, AHandlerOfAnotherEngineWaitsForIt) {
  Engine one = open(memory_config());
  Engine two = open(memory_config());
  one.handle("stop", [&](Context&) {
    two.stop(kLong);
    return two.health()->running;
  });
  two.handle("a", [](Context&) {});
  ASSERT_TRUE(two.start());
  ASSERT_TRUE(one.start());
  EXPECT_EQ(one.wait(one.enqueue("stop").value(), kLong).value(), false);
}

TEST(Stop, AnotherMayShortenTheGrace) {
  Engine engine = open(memory_config(1));
  Gate gate;
  Gate asked;
  engine.handle("deaf", [&](Context& job) {
    const std::stop_callback told(job.stop(), [&] { asked.open(); });
    gate.pass();
  });
  const auto id = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  std::thread patient([&] { engine.stop(kLong); });
  asked.pass();
  const auto before = std::chrono::steady_clock::now();
  engine.stop(0s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, kLong / 2);
  EXPECT_EQ(engine.job(id)->state, State::kAvailable) << "it was released";
  patient.join();
  gate.open();
}

// run() has not returned yet when the next start() comes: what that began is not its own.
TEST(Stop, ARunThatWasStoppedLeavesTheNextStartAlone) {
  Engine engine = open(memory_config(1));
  engine.handle("a", [](Context&) {});
  for (int round = 0; round < 200; ++round) {
    std::thread running([&] { EXPECT_TRUE(engine.run()); });
    while (!engine.health()->running) std::this_thread::yield();
    engine.stop(kLong);
    ASSERT_TRUE(engine.start()) << round;
    running.join();
    ASSERT_TRUE(engine.health()->running) << round;
    engine.stop(kLong);
  }
}

TEST(Stop, EndsADrainOnAnotherThread) {
  Engine engine = open(memory_config(1));
  Gate gate;
  engine.handle("heeds", [&](Context& job) -> Result<Json> {
    const std::stop_callback wake(job.stop(), [&] { gate.open(); });
    gate.pass();
    return fail(Code::kCancelled, "stopped");
  });
  const auto id = engine.enqueue("heeds").value();
  std::thread drainer([&] { EXPECT_TRUE(engine.drain()); });
  gate.wait_for(1);
  EXPECT_TRUE(engine.health()->running) << "it takes jobs";
  const auto started = engine.start();
  ASSERT_FALSE(started) << "not beside drain()";
  EXPECT_EQ(started.error().code, Code::kInvalid);
  EXPECT_FALSE(engine.drain());
  EXPECT_FALSE(engine.run());
  engine.stop(kLong);
  EXPECT_EQ(engine.job(id)->state, State::kAvailable);
  EXPECT_FALSE(engine.health()->running);
  drainer.join();
}

// Likewise where the isolation has the line.
TEST(Stop, LeavesTheExpiryOfWhatWaitedForAThread) {
  Config config = memory_config(1);
  config.worker.prefetch = 2;
  Engine engine = open(config);
  std::atomic<int> begun{0};
  engine.handle("waits", [&](Context& job) -> Result<Json> {
    ++begun;
    while (!job.stopping()) std::this_thread::yield();
    return job.error("stopped");
  });
  const auto first = engine.enqueue("waits", {}, {.start_within = 1h}).value();
  const auto second = engine.enqueue("waits", {}, {.start_within = 1h}).value();
  ASSERT_TRUE(engine.start());
  while (begun == 0 || engine.job(second)->state != State::kRunning) {
    std::this_thread::yield();
  }
  engine.stop(10s);
  EXPECT_EQ(begun, 1);
  EXPECT_FALSE(engine.job(first)->expires.has_value());
  EXPECT_TRUE(engine.job(second)->expires.has_value());
}

// Its first claim fails; the next waits until it is interrupted.
class AwaySource final : public ClaimSource {
 public:
  explicit AwaySource(std::shared_ptr<Gate> waits) : waits_(std::move(waits)) {}
  Result<std::vector<Claimed>> claim(const Demand& /*demand*/,
                                     std::string_view /*worker*/,
                                     std::uint64_t /*number*/, Duration /*lease*/,
                                     Duration wait) override {
    if (wait == Duration{0} || std::exchange(first_, false)) {
      return fail(Code::kUnavailable, "away", "test");
    }
    waits_->open();
    interrupted_.pass();
    return std::vector<Claimed>();
  }
  void interrupt() noexcept override { interrupted_.open(); }

 private:
  const std::shared_ptr<Gate> waits_;
  Gate interrupted_;
  bool first_ = true;
};

class AwayStore final : public conformance::StoreWrapper {
 public:
  AwayStore(std::unique_ptr<Store> real, std::shared_ptr<Gate> waits)
      : StoreWrapper(std::move(real)), waits_(std::move(waits)) {}
  std::unique_ptr<ClaimSource> claim_source() override {
    return std::make_unique<AwaySource>(waits_);
  }

 private:
  const std::shared_ptr<Gate> waits_;
};

TEST(Stop, AClaimThatItInterruptsIsNoAnswerOfTheStore) {
  const auto waits = std::make_shared<Gate>();
  Registry registry = Registry::with_builtins();
  registry.add_store(
      "away",
      [&](const Url&, const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
        return std::make_unique<AwayStore>(make_memory_store(options), waits);
      });
  std::mutex mutex;
  std::string lines;
  set_log_sink([&](LogLevel, std::string_view line) {
    const std::lock_guard lock(mutex);
    lines.append(line).append("\n");
  });
  {
    Config config = memory_config();
    config.store = "away:";
    config.log.level = LogLevel::kInfo;
    Engine engine = Engine::open(config, registry).value();
    engine.handle("job", [](Context&) {});
    ASSERT_TRUE(engine.start());
    waits->pass();
    engine.stop(1s);
  }
  set_log_sink({});
  EXPECT_NE(lines.find("claim: the store does not answer: away"), std::string::npos);
  EXPECT_EQ(lines.find("answers again"), std::string::npos) << lines;
}

TEST(Stop, RunAndDrainTellOfAnEndThatWasNotStored) {
  for (const bool drain : {false, true}) {
    const auto plan = std::make_shared<conformance::FaultPlan>();
    Registry registry = Registry::with_builtins();
    registry.add_store(
        "away",
        [&](const Url&, const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
          return std::make_unique<conformance::CrashingStore>(make_memory_store(options),
                                                              plan);
        });
    Config config = memory_config();
    config.store = "away:";
    Engine engine = Engine::open(config, registry).value();
    engine.handle("job", [&](Context&) {
      plan->arm(conformance::FaultPoint::kBeforeFinishCommit,
                conformance::FaultMode::kError, 0, 1'000'000);
      engine.stop(1s);
    });
    ASSERT_TRUE(engine.enqueue("job"));
    Error error;
    if (drain) {
      const auto drained = engine.drain();
      ASSERT_FALSE(drained);
      error = drained.error();
    } else {
      const auto ran = engine.run();
      ASSERT_FALSE(ran);
      error = ran.error();
    }
    EXPECT_EQ(error.code, Code::kUnavailable);
    EXPECT_NE(error.message.find("1 job has ended, and runs again"), std::string::npos)
        << error.message;
  }
}

}  // namespace
}  // namespace carrel
