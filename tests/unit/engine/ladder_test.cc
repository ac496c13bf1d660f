// The ladder where runs can be killed, and who climbs it.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <future>
#include <thread>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

// Runs that heed nothing but the last step, and note what is done to them.
class Stubborn final : public Isolation {
 public:
  struct Notes {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> steps;
    std::vector<std::chrono::steady_clock::time_point> times;  // of these
    void add(std::string step) {
      std::lock_guard lock(mutex);
      steps.push_back(std::move(step));
      times.push_back(std::chrono::steady_clock::now());
      changed.notify_all();
    }
  };
  class StubbornRun final : public Run {
   public:
    StubbornRun(Task task, Notes& notes) : task_(std::move(task)), notes_(notes) {}
    void request_stop(StopReason reason) noexcept override {
      reason_ = reason;
      notes_.add("stop");
    }
    bool terminate() noexcept override {
      notes_.add("terminate");
      return true;
    }
    bool kill() noexcept override {
      notes_.add("kill");
      Outcome outcome;
      outcome.klass = reason_ == StopReason::kTimeout ? OutcomeClass::kWallTimeout
                                                      : OutcomeClass::kCancelled;
      outcome.error = {Code::kCancelled, "killed"};
      task_.sink->on_end(std::move(outcome));
      return true;
    }
    Duration abandon() noexcept override {
      notes_.add("abandon");
      return {};
    }

   private:
    Task task_;
    Notes& notes_;
    StopReason reason_ = StopReason::kCancel;
  };

  Stubborn(Notes& notes, const std::atomic<bool>& refuses, Gate*& holds)
      : notes_(notes), refuses_(refuses), holds_(holds) {}
  IsolationTraits traits() const noexcept override {
    return {.contains_crash = true, .can_kill = true, .runs_handlers = true};
  }
  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) override {
    Gate* const gate = holds_;
    std::vector<Result<std::shared_ptr<Run>>> runs;
    for (auto& task : tasks) {
      if (refuses_) {
        runs.emplace_back(fail(Code::kFailed, "no"));
        continue;
      }
      runs.emplace_back(std::make_shared<StubbornRun>(std::move(task), notes_));
      notes_.add("start");
    }
    if (gate != nullptr) gate->pass();
    return runs;
  }

 private:
  Notes& notes_;
  const std::atomic<bool>& refuses_;
  Gate*& holds_;
};

// One whose leases are lost from some time on.
class Losing final : public conformance::StoreWrapper {
 public:
  Losing(std::unique_ptr<Store> real, const std::atomic<bool>& lost)
      : StoreWrapper(std::move(real)), lost_(lost) {}
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    if (!lost_) return real().beat(worker, settled, beats, renew, lease);
    return std::vector<Pulse>(beats.size(), Pulse::kStale);
  }

 private:
  const std::atomic<bool>& lost_;
};

class LadderTest : public testing::Test {
 protected:
  Engine make(Config config) {
    Registry registry = Registry::with_builtins();
    registry.add_store(
        "losing",
        [this](const Url&, const BackendOptions& o) -> Result<std::unique_ptr<Store>> {
          return std::make_unique<Losing>(make_memory_store(o), lost);
        });
    registry.add_isolation(
        "stubborn", {[this](const IsolationSetup&) -> Result<std::unique_ptr<Isolation>> {
          return std::make_unique<Stubborn>(notes, refuses, holds);
        }});
    registry.add_isolation(
        "program", {[this](const IsolationSetup&) -> Result<std::unique_ptr<Isolation>> {
                      return std::make_unique<Stubborn>(notes, refuses, holds);
                    },
                    false, true});
    config.defaults.isolation = "stubborn";
    Engine engine = Engine::open(std::move(config), registry).value();
    engine.handle("deaf", [](Context&) {});
    return engine;
  }
  void wait_for(const std::string& step) {
    std::unique_lock lock(notes.mutex);
    notes.changed.wait(lock, [&] {
      return std::find(notes.steps.begin(), notes.steps.end(), step) != notes.steps.end();
    });
  }
  std::vector<std::string> steps() {
    std::lock_guard lock(notes.mutex);
    return notes.steps;
  }
  Stubborn::Notes notes;
  std::atomic<bool> refuses{false};
  std::atomic<bool> lost{false};
  Gate* holds = nullptr;  // the starts that begin from now on
  const std::vector<std::string> all{"start", "stop", "terminate", "kill"};
};

TEST_F(LadderTest, OutOfTimeIsStopThenTermThenKill) {
  Engine engine = make(memory_config());
  const auto id = engine.enqueue("deaf", {}, {.timeout = 5ms, .max_attempts = 1}).value();
  ASSERT_TRUE(engine.start());
  EXPECT_FALSE(engine.wait(id, kLong));
  EXPECT_EQ(engine.job(id)->attempts.at(0).klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(engine.job(id)->attempts.at(0).rung, Rung::kKill);
  EXPECT_EQ(steps(), all);
}

TEST_F(LadderTest, EachStepTakesTheTimeThatTheKindGivesIt) {
  for (const auto& [stop_grace, term_grace] :
       {std::pair(20ms, 200ms), std::pair(200ms, 20ms)}) {
    notes.steps.clear();
    notes.times.clear();
    Config config = memory_config();
    config.jobs["deaf"].isolation = "stubborn";
    config.jobs["deaf"].stop_grace = stop_grace;
    config.jobs["deaf"].term_grace = term_grace;
    Engine engine = make(config);
    const auto id = engine.enqueue("deaf", {}, {.timeout = 5ms, .max_attempts = 1});
    ASSERT_TRUE(engine.start());
    EXPECT_FALSE(engine.wait(*id, kLong));
    ASSERT_EQ(steps(), all);
    EXPECT_GE(notes.times[2] - notes.times[1], stop_grace);
    EXPECT_GE(notes.times[3] - notes.times[2], term_grace);
  }
}

TEST_F(LadderTest, AProgramInInlineModeIsEndedToo) {
  Config config = memory_config();
  config.mode = Mode::kInline;
  config.jobs["program"].isolation = "program";
  config.jobs["program"].command = {"deaf"};
  config.jobs["program"].max_attempts = 1;
  Engine engine = make(config);
  const auto id = engine.enqueue("program", {}, {.timeout = 5ms}).value();
  EXPECT_EQ(engine.job(id)->attempts.at(0).klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(engine.job(id)->attempts.at(0).rung, Rung::kKill);
  EXPECT_EQ(steps(), all);
}

// In a process of its own, with what the history says of it.
TEST(Ladder, Case14_AForkedJobThatIgnoresTerm_IsKilledByIt) {
  Config config = memory_config();
  config.jobs["deaf"] = config.defaults;
  config.jobs["deaf"].isolation = "fork";
  config.jobs["deaf"].max_attempts = 1;
  std::promise<void> deaf;
  Engine engine = open(config);
  engine.on_progress([&](const auto&, const Progress&) { deaf.set_value(); });
  engine.handle("deaf", [](Context& job) {
    std::signal(SIGTERM, SIG_IGN);
    job.progress(0.5F, "deaf");
    for (;;) pause();
  });
  const auto id = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  deaf.get_future().get();
  ASSERT_TRUE(engine.cancel(id));
  std::ignore = engine.wait(id, kLong);
  const Attempt attempt = engine.job(id)->attempts.at(0);
  EXPECT_EQ(attempt.klass, OutcomeClass::kCancelled);
  EXPECT_EQ(attempt.rung, Rung::kKill);
  EXPECT_EQ(attempt.signal, SIGKILL);
}

// However many wait for a place, and whatever they come to.
TEST_F(LadderTest, ALongLineOfRunsThatAreRefusedEnds) {
  constexpr std::size_t kLine = 30'000;
  Config config = memory_config(1);
  config.worker.prefetch = kLine;
  config.defaults.max_attempts = 1;
  Engine engine = make(config);
  const auto first = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  wait_for("start");
  refuses = true;
  const std::vector<Request> many(kLine, Request{"deaf", {}, {}});
  const auto line = engine.enqueue(many);
  while (engine.job(*line.back())->state != State::kRunning) std::this_thread::yield();
  ASSERT_TRUE(engine.cancel(first));
  EXPECT_EQ(engine.wait(*line.back(), kLong).error().message, "no");
}

TEST_F(LadderTest, ACancelThatEveryBeatRepeatsClimbsOnce) {
  Config config = memory_config();
  config.worker.beat = 1ms;  // many beats on each rung
  config.defaults.stop_grace = 50ms;
  config.defaults.term_grace = 50ms;
  Engine engine = make(config);
  const auto id = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  wait_for("start");
  // Through the store, as somebody elsewhere would.
  ASSERT_EQ(engine.store().cancel({&id, 1})->front(), Cancelled::kRequested);
  EXPECT_EQ(engine.wait(id, kLong).error().code, Code::kCancelled);
  EXPECT_EQ(steps(), all);
}

// Another may have the job by now: it has no grace left.
TEST_F(LadderTest, ARunThatIsToStopAndLosesItsLeaseIsKilledAtOnce) {
  Config config = memory_config();
  config.store = "losing:";
  config.worker.beat = 1ms;
  config.defaults.stop_grace = 1h;
  Engine engine = make(config);
  const auto id = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  wait_for("start");
  ASSERT_TRUE(engine.cancel(id));
  wait_for("stop");
  lost = true;
  wait_for("kill");
  EXPECT_EQ(steps(), (std::vector<std::string>{"start", "stop", "kill"}));
}

// The isolation takes its time: by then each step has been taken, and found no handle.
TEST_F(LadderTest, ACancelReachesARunThatWasBeingStartedAtEachStep) {
  Gate gate;
  Engine engine = make(memory_config());
  const auto attached = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  wait_for("start");
  holds = &gate;
  // Not on this thread, which the start would hold up.
  const auto starting = engine.enqueue("deaf", {}, {.delay = 1ms}).value();
  gate.wait_for(1);
  ASSERT_TRUE(engine.cancel(starting));
  ASSERT_TRUE(engine.cancel(attached));
  wait_for("kill");  // of the one that was cancelled later
  gate.open();
  ASSERT_EQ(engine.wait(starting, kLong).error().code, Code::kCancelled);
  EXPECT_EQ(engine.job(starting)->attempts.at(0).rung, Rung::kKill);
}

// It is given to no isolation, and its place in the line to nobody.
TEST_F(LadderTest, ACancelEndsAtOnceWhatWaitsForAPlace) {
  Config config = memory_config(1);
  config.worker.prefetch = 2;
  config.defaults.stop_grace = 1h;
  Engine engine = make(config);
  const auto first = engine.enqueue("deaf").value();
  const auto second = engine.enqueue("deaf").value();
  const auto third = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  wait_for("start");
  while (engine.job(third)->state != State::kRunning) std::this_thread::yield();
  ASSERT_TRUE(engine.cancel(second));
  EXPECT_EQ(engine.wait(second, kLong).error().code, Code::kCancelled);
  EXPECT_EQ(steps(), std::vector<std::string>{"start"});
  ASSERT_TRUE(engine.cancel(first));
  engine.stop(1ms);
  EXPECT_EQ(engine.job(third)->state, State::kAvailable);
}

// Whether it had begun decides what start_within says of it afterwards.
TEST_F(LadderTest, AStopLeavesTheExpiryOfWhatWaitedForAPlace) {
  Config config = memory_config(1);
  config.worker.prefetch = 2;
  Engine engine = make(config);
  const auto first = engine.enqueue("deaf", {}, {.start_within = 1h}).value();
  const auto second = engine.enqueue("deaf", {}, {.start_within = 1h}).value();
  ASSERT_TRUE(engine.start());
  wait_for("start");
  while (engine.job(second)->state != State::kRunning) std::this_thread::yield();
  engine.stop(1ms);
  for (const JobId id : {first, second}) {
    EXPECT_EQ(engine.job(id)->state, State::kAvailable);
    EXPECT_EQ(engine.job(id)->attempt, 0);
  }
  EXPECT_FALSE(engine.job(first)->expires.has_value());
  EXPECT_TRUE(engine.job(second)->expires.has_value());
}

TEST_F(LadderTest, AStopKillsWhatDoesNotEndInItsGraceAndReleasesIt) {
  Engine engine = make(memory_config());
  const auto id = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  wait_for("start");
  engine.stop(1ms);
  EXPECT_EQ(steps(), (std::vector<std::string>{"start", "stop", "kill"}));
  EXPECT_EQ(engine.job(id)->state, State::kAvailable);
  EXPECT_EQ(engine.job(id)->attempt, 0);
}

}  // namespace
}  // namespace carrel
