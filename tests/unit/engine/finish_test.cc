// What becomes of a job that is done where its store cannot take that at once, or not at
// all.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/log.h>
#include <carrel/memory.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

// Finishes nothing that a test has an error for.
class Refusing final : public conformance::StoreWrapper {
 public:
  using Refuse = std::function<std::optional<Error>(std::span<const Finish>)>;
  struct State {
    bool blocks = false;
    std::uint64_t max_payload = 0;
    Gate gate;                         // that the first finish waits at
    std::atomic<bool> is_away{false};  // no lease is renewed
    std::atomic<bool> first{true};
    std::mutex mutex;
    Refuse refuse;
    std::size_t refused = 0;
    std::condition_variable changed;
    std::size_t largest = 0;  // of the calls that were refused
    void refuse_if(Refuse why) {
      const std::lock_guard lock(mutex);
      refuse = std::move(why);
    }
    void wait_refused(std::size_t times) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return refused >= times; });
    }
  };
  Refusing(std::unique_ptr<Store> real, std::shared_ptr<State> state)
      : StoreWrapper(std::move(real)), state_(std::move(state)) {}

  StoreTraits traits() const noexcept override {
    StoreTraits traits = StoreWrapper::traits();
    traits.blocks = state_->blocks;
    traits.max_payload = state_->max_payload;
    return traits;
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    if (renew && state_->is_away) return fail(Code::kUnavailable, "it is away");
    return real().beat(worker, settled_claim, beats, renew, lease);
  }
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override {
    if (state_->first.exchange(false)) state_->gate.pass();
    std::optional<Error> error;
    {
      const std::lock_guard lock(state_->mutex);
      if (state_->refuse) error = state_->refuse(runs);
      if (error) {
        ++state_->refused;
        state_->largest = std::max(state_->largest, runs.size());
        state_->changed.notify_all();
      }
    }
    if (!error) return real().finish(runs);
    return std::vector<Result<Finished>>(runs.size(), tl::unexpected(*error));
  }

 private:
  std::shared_ptr<State> state_;
};

bool has_result(std::span<const Finish> runs, const std::string& result) {
  return std::any_of(runs.begin(), runs.end(),
                     [&](const Finish& run) { return run.result == result; });
}

// Whether whoever ends a run commits its end, or a thread for stores that block.
class Finishes : public testing::TestWithParam<bool> {
 protected:
  static constexpr int kJobs = 20;

  void SetUp() override {
    state_->blocks = GetParam();
    open(Mode::kNormal);
  }
  void open(Mode mode) {
    engine_.reset();
    started_ = false;
    Registry registry = Registry::with_builtins();
    registry.add_store(
        "refusing",
        [&](const Url&, const BackendOptions& o) -> Result<std::unique_ptr<Store>> {
          return std::make_unique<Refusing>(make_memory_store(o), state_);
        });
    Config config = memory_config(1);
    config.store = "refusing:";
    config.queue = "memory:";
    config.mode = mode;
    config.worker.prefetch = kJobs;
    config.log.level = LogLevel::kInfo;
    set_log_sink([this](LogLevel, std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
    });
    engine_.emplace(Engine::open(config, registry).value());
    engine_->handle("job", [](Context& job) -> Result<Json> { return job.args(); });
    engine_->handle("last", [this](Context&) { ended_.open(); });
  }
  void TearDown() override {
    engine_.reset();
    set_log_sink({});
  }
  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  // Jobs 0, 1, 2, … which are done before the first finish is over.
  std::vector<JobId> run_together() {
    std::vector<JobId> ids;
    for (int i = 0; i < kJobs; ++i) ids.push_back(engine_->enqueue("job", i).value());
    EXPECT_TRUE(engine_->enqueue("last"));
    start();
    if (state_->blocks) ended_.pass();  // one at a time: all before it have ended
    state_->gate.open();
    return ids;
  }
  void start() {
    if (std::exchange(started_, true)) return;
    EXPECT_TRUE(engine_->start());
  }
  JobRecord record(JobId id) { return engine_->job(id).value(); }
  JobRecord wait_final(JobId id) {
    std::ignore = engine_->wait(id, kLong);
    return record(id);
  }

  const std::shared_ptr<Refusing::State> state_ = std::make_shared<Refusing::State>();
  Gate ended_;
  bool started_ = false;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::optional<Engine> engine_;
};

TEST_P(Finishes, AnErrorOfTheStoreDiscardsNothing) {
  for (const Code code : {Code::kInternal, Code::kCorrupt, Code::kUnsupported}) {
    state_->refuse_if([&, once = true](auto) mutable -> std::optional<Error> {
      if (!std::exchange(once, false)) return std::nullopt;
      return Error{code, "on purpose"};
    });
    const JobId id = engine_->enqueue("job", 7).value();
    state_->gate.open();
    start();
    const JobRecord job = wait_final(id);
    EXPECT_EQ(job.state, State::kCompleted) << to_string(code);
    EXPECT_EQ(job.result, "7");
    EXPECT_EQ(job.attempt, 1);
  }
}

TEST_P(Finishes, OneThatAlwaysFailsIsKeptAndHoldsUpNoOther) {
  state_->refuse_if([](std::span<const Finish> runs) -> std::optional<Error> {
    if (!has_result(runs, "3")) return std::nullopt;
    return Error{Code::kInternal, "it cannot do 3"};
  });
  const auto ids = run_together();
  for (const JobId id : ids) {
    if (id == ids[3]) continue;
    EXPECT_EQ(wait_final(id).state, State::kCompleted);
  }
  state_->wait_refused(4);
  EXPECT_EQ(record(ids[3]).state, State::kRunning);
  if (state_->blocks) {
    EXPECT_GT(state_->largest, 1U) << "it came with others";
  }
  EXPECT_THAT(lines(), Contains(AllOf(HasSubstr("job " + std::to_string(value(ids[3]))),
                                      HasSubstr("it cannot do 3"))));
  // What comes later does not wait for it either.
  EXPECT_EQ(wait_final(engine_->enqueue("job", 100).value()).state, State::kCompleted);
  state_->refuse_if(nullptr);
  const JobRecord kept = wait_final(ids[3]);
  EXPECT_EQ(kept.state, State::kCompleted);
  EXPECT_EQ(kept.result, "3");
  EXPECT_EQ(kept.attempt, 1);
}

TEST_P(Finishes, AStoreThatTakesNothingLosesNothing) {
  state_->refuse_if([](auto) { return Error{Code::kUnsupported, "a newer schema"}; });
  const auto ids = run_together();
  state_->wait_refused(30);
  EXPECT_THAT(lines(), Contains(HasSubstr("a newer schema")));
  state_->refuse_if(nullptr);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const JobRecord job = wait_final(ids[i]);
    EXPECT_EQ(job.state, State::kCompleted);
    EXPECT_EQ(job.result, std::to_string(i));
    EXPECT_EQ(job.attempt, 1);
  }
}

// A host's transaction may hold its row. A lease has far to go until it is renewed.
TEST_P(Finishes, AnEndThatHasToWaitDoesNotMeanThatTheStoreIsAway) {
  state_->refuse_if([](std::span<const Finish>) -> std::optional<Error> {
    return Error{Code::kUnavailable, "another holds it"};
  });
  state_->gate.open();
  const JobId id = engine_->enqueue("job", 7).value();
  start();
  state_->wait_refused(3);
  EXPECT_EQ(engine_->health()->store_error, std::nullopt);
  EXPECT_THAT(lines(),
              Contains(HasSubstr("job 1: its end could not be stored yet, and is "
                                 "tried again: another holds it")));
  state_->is_away = true;
  const auto until = std::chrono::steady_clock::now() + kLong / 5;
  while (!engine_->health()->store_error) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "the next beat would tell";
    std::this_thread::yield();
  }
  EXPECT_EQ(engine_->health()->store_error, "beat: it is away");
  EXPECT_EQ(engine_->own_health().store_error, "beat: it is away");
  state_->is_away = false;
  state_->refuse_if(nullptr);
  EXPECT_EQ(wait_final(id).state, State::kCompleted);
  while (engine_->health()->store_error) std::this_thread::yield();
}

// As on a full disk, where a beat may find the room that ends do not.
TEST_P(Finishes, SeveralEndsThatCannotBeStoredMeanThatTheStoreIsAway) {
  state_->refuse_if([](std::span<const Finish>) -> std::optional<Error> {
    return Error{Code::kUnavailable, "the disk is full"};
  });
  state_->gate.open();
  const std::array ids = {engine_->enqueue("job", 7).value(),
                          engine_->enqueue("job", 8).value()};
  start();
  const auto until = std::chrono::steady_clock::now() + kLong / 5;
  while (!engine_->health()->store_error) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::yield();
  }
  state_->refuse_if(nullptr);
  for (const JobId id : ids) EXPECT_EQ(wait_final(id).state, State::kCompleted);
}

TEST_P(Finishes, WhatTheStoreRefusesForGoodIsDiscardedAlone) {
  for (const Code code : {Code::kTooLarge, Code::kInvalid}) {
    state_->refuse_if([&](std::span<const Finish> runs) -> std::optional<Error> {
      if (!has_result(runs, "3")) return std::nullopt;
      return Error{code, "3 is too much"};
    });
    const auto ids = run_together();
    for (const JobId id : ids) {
      const JobRecord job = wait_final(id);
      if (id != ids[3]) {
        EXPECT_EQ(job.state, State::kCompleted);
        continue;
      }
      EXPECT_EQ(job.state, State::kDiscarded);
      EXPECT_EQ(job.result, "");
      ASSERT_EQ(job.attempts.size(), 1U);
      EXPECT_EQ(job.attempts[0].code, code);
      EXPECT_EQ(job.attempts[0].message, "the result cannot be stored: 3 is too much");
    }
  }
}

// Not even that it failed. A worker that did not name it in its beats would set it free.
TEST_P(Finishes, AnEndThatIsRefusedTwiceIsKept) {
  std::atomic<int> runs{0};
  engine_->handle("once", [&](Context&) { return 7 + runs++; });
  const JobId id = engine_->enqueue("once").value();
  state_->refuse_if([&](std::span<const Finish> finishes) -> std::optional<Error> {
    for (const Finish& finish : finishes) {
      if (finish.lease.id == id) return Error{Code::kInvalid, "on purpose"};
    }
    return std::nullopt;
  });
  state_->gate.open();
  start();
  state_->wait_refused(5);  // with beats between them
  EXPECT_EQ(wait_final(engine_->enqueue("job", 8).value()).state, State::kCompleted);
  EXPECT_THAT(lines(), Contains(HasSubstr("could not be stored yet, and is tried again: "
                                          "on purpose")));
  EXPECT_EQ(record(id).state, State::kRunning);
  state_->refuse_if(nullptr);
  const JobRecord job = wait_final(id);
  EXPECT_EQ(job.state, State::kDiscarded);
  EXPECT_EQ(job.attempt, 1);
  EXPECT_EQ(runs, 1);
  ASSERT_EQ(job.attempts.size(), 1U);
  EXPECT_EQ(job.attempts[0].message, "the result cannot be stored: on purpose");
}

// In the caller, whose lease is long.
TEST_P(Finishes, WhatRunsInTheCallerIsStoredAsSoonAsItCanBe) {
  open(Mode::kInline);
  state_->gate.open();
  state_->refuse_if([n = 0](auto) mutable -> std::optional<Error> {
    if (++n > 2) return std::nullopt;
    return Error{n == 1 ? Code::kUnavailable : Code::kInternal, "on purpose"};
  });
  const JobRecord job = record(engine_->enqueue("job", 7).value());
  EXPECT_EQ(job.state, State::kCompleted);
  EXPECT_EQ(job.result, "7");
  EXPECT_EQ(state_->refused, 2U);
}

TEST_P(Finishes, WhatIsRefusedInTheCallerIsDiscardedOrGivenBack) {
  open(Mode::kInline);
  state_->gate.open();
  for (const bool twice : {false, true}) {
    state_->refuse_if([&](std::span<const Finish> runs) -> std::optional<Error> {
      const Verdict verdict = runs.front().verdict;
      if (verdict == Verdict::kInterrupted) return std::nullopt;
      if (verdict == Verdict::kDiscarded && !twice) return std::nullopt;
      return Error{Code::kTooLarge, "too much"};
    });
    const JobRecord job = record(engine_->enqueue("job", 7).value());
    EXPECT_EQ(job.result, "");
    if (twice) {
      EXPECT_EQ(job.state, State::kAvailable);
      EXPECT_EQ(job.attempt, 0);
      EXPECT_THAT(lines(), Contains(HasSubstr("its end cannot be stored: too much")));
      continue;
    }
    EXPECT_EQ(job.state, State::kDiscarded);
    ASSERT_EQ(job.attempts.size(), 1U);
    EXPECT_EQ(job.attempts[0].message, "the result cannot be stored: too much");
  }
}

// Whatever its isolation, and where it runs in the caller.
TEST_P(Finishes, ACheckpointThatIsTooLongCostsNoResult) {
  state_->max_payload = 100;
  state_->refuse_if([](std::span<const Finish> runs) -> std::optional<Error> {
    for (const Finish& run : runs) {
      if (run.checkpoint.value_or("").size() > 100) return Error{Code::kTooLarge, "long"};
    }
    return std::nullopt;
  });
  state_->gate.open();
  for (const Mode mode : {Mode::kNormal, Mode::kInline}) {
    open(mode);
    engine_->handle("long", [](Context& job) {
      job.checkpoint("page 7");
      job.checkpoint(std::string(101, 'x'));
      return 7;
    });
    const JobId id = engine_->enqueue("long").value();
    if (mode == Mode::kNormal) start();
    const JobRecord job = wait_final(id);
    EXPECT_EQ(job.state, State::kCompleted);
    EXPECT_EQ(job.result, "7");
    EXPECT_EQ(job.checkpoint, "page 7");
    EXPECT_THAT(job.log, HasSubstr("a checkpoint of 101 bytes was not kept"));
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, Finishes, testing::Bool(), [](const auto& store) {
  return store.param ? "ThatBlock" : "ThatDoNot";
});

}  // namespace
}  // namespace carrel
