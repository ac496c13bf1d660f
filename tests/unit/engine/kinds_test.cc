// Which kinds an engine knows, and what holds for each of them.
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

// Runs programs in no time: their result is their command's first word.
class Instant final : public Isolation {
 public:
  explicit Instant(const IsolationSetup& setup)
      : kinds_(setup.kinds.begin(), setup.kinds.end()) {}

  IsolationTraits traits() const noexcept override { return {.runs_programs = true}; }
  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) override {
    std::vector<Result<std::shared_ptr<Run>>> runs;
    for (auto& task : tasks) {
      Outcome outcome;
      for (const KindSpec& spec : kinds_) {
        if (spec.kind == task.job->kind) outcome.result = Json(spec.command.at(0)).dump();
      }
      task.sink->on_end(std::move(outcome));
      runs.emplace_back(std::make_shared<Ended>());
    }
    return runs;
  }

 private:
  struct Ended final : Run {
    void request_stop(StopReason) noexcept override {}
    bool terminate() noexcept override { return true; }
    bool kill() noexcept override { return true; }
    Duration abandon() noexcept override { return {}; }
  };
  const std::vector<KindSpec> kinds_;
};

Engine open_with_programs(Config config) {
  Registry registry = Registry::with_builtins();
  registry.add_isolation(
      "instant", {[](const IsolationSetup& setup) -> Result<std::unique_ptr<Isolation>> {
                    return std::make_unique<Instant>(setup);
                  },
                  false, true});
  return Engine::open(std::move(config), registry).value();
}

TEST(Kinds, AHandlerGivesWayToTheCommandOfTheDefaults) {
  Config config = memory_config();
  config.defaults.isolation = "instant";
  config.defaults.command = {"default"};
  config.jobs["own"] = config.defaults;
  config.jobs["own"].command = {"own"};
  config.strict_kinds = true;
  Engine engine = open_with_programs(config);
  for (const char* kind : {"own", "plain"}) {
    ASSERT_TRUE(engine.handle(kind, [](Context&) { return "handler"; }));
  }
  const auto own = engine.enqueue("own");
  const auto plain = engine.enqueue("plain");
  ASSERT_TRUE(plain) << plain.error().message;
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(engine.wait(own.value(), 0s).value(), "own");
  EXPECT_EQ(engine.wait(*plain, 0s).value(), "default");
  EXPECT_TRUE(engine.handle("plain", [](Context&) {})) << "nothing changes by it";
  const auto late = engine.handle("late", [](Context&) {});
  ASSERT_FALSE(late) << "nobody would run it";
  EXPECT_EQ(late.error().code, Code::kInvalid);
  EXPECT_FALSE(engine.enqueue("late"));
}

TEST(Kinds, StrictKindsRefusesTheUnknownAlone) {
  Config config = memory_config();
  config.strict_kinds = true;
  config.jobs["elsewhere"];  // configured, and handled by another process
  Engine engine = open(config);
  engine.handle("handled", [](Context&) {});
  EXPECT_TRUE(engine.enqueue("handled"));
  EXPECT_TRUE(engine.enqueue("elsewhere"));
  const std::vector<Request> three{
      {"handled", {}, {}}, {"handeld", {}, {}}, {"elsewhere", {}, {}}};
  const auto ids = engine.enqueue(three);
  ASSERT_EQ(ids.size(), 3U);
  EXPECT_TRUE(ids[0]);
  EXPECT_TRUE(ids[2]);
  ASSERT_FALSE(ids[1]);
  EXPECT_EQ(ids[1].error().code, Code::kInvalid);
  EXPECT_EQ(ids[1].error().message,
            "no job of kind \"handeld\" is handled or configured here, and strict_kinds "
            "is set");
  EXPECT_EQ(engine.health()->counts.total[static_cast<std::size_t>(State::kAvailable)],
            4U);
}

TEST(Kinds, EachHasABackOffOfItsOwn) {
  Config config = memory_config();
  config.defaults.retry = {.base = 2h, .power = 0, .cap = 2h, .jitter = 0};
  config.jobs["hour"].retry = {.base = 1h, .power = 0, .cap = 1h, .jitter = 0};
  config.jobs["soon"].retry = {.base = 1ms, .power = 0, .cap = 1ms, .jitter = 0};
  Engine engine = open(config);
  for (const char* kind : {"hour", "soon", "other"}) {
    engine.handle(kind, [](Context& job) -> Result<Json> {
      if (job.attempt() == 1) return job.error("not yet");
      return 1;
    });
  }
  const auto hour = engine.enqueue("hour").value();
  const auto other = engine.enqueue("other").value();
  const auto soon = engine.enqueue("soon").value();
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(soon, kLong).value(), 1);
  const auto retryable = [&](JobId id) {
    JobRecord job = engine.job(id).value();
    while (job.state != State::kRetryable) {
      std::this_thread::yield();
      job = engine.job(id).value();
    }
    return job;
  };
  for (const auto& [id, wait] : {std::pair{hour, 1h}, std::pair{other, 2h}}) {
    const JobRecord job = retryable(id);
    const Duration waits = job.run_at - job.attempts.at(0).ended;
    EXPECT_GE(waits, wait) << job.kind;
    EXPECT_LT(waits, wait + 1min) << job.kind;
  }
}

// Of this job it says only that its work was not done.
TEST(Kinds, AHandlerThatHearsOfAnotherJobsCancelHasFailed) {
  for (const char* isolation : {"thread", "mutex"}) {
    for (const Mode mode : {Mode::kNormal, Mode::kInline}) {
      Config config = memory_config();
      config.defaults.isolation = isolation;
      config.mode = mode;
      Engine engine = open(config);
      engine.handle("parent", [&](Context& job) -> Result<Json> {
        if (job.attempt() > 1) return 1;
        const auto other = engine.enqueue("nobodys").value();
        EXPECT_TRUE(engine.cancel(other));
        return engine.wait(other, kLong);
      });
      const auto id = engine.enqueue("parent").value();
      while (!is_final(engine.job(id)->state)) ASSERT_TRUE(engine.drain());
      const JobRecord job = engine.job(id).value();
      EXPECT_EQ(job.state, State::kCompleted) << isolation;
      EXPECT_EQ(job.attempts.at(0).klass, OutcomeClass::kFailed);
      EXPECT_EQ(job.attempts.at(0).message, "job 2 was cancelled");
    }
  }
}

}  // namespace
}  // namespace carrel
