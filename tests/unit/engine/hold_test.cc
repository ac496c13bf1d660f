// Engine::hold in one process; tests/fault/hold_test.cc has several, and every store.
#include <carrel/conformance/manual_clock.h>
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

Result<std::vector<JobRecord>> holds_of(Engine& engine) {
  Filter filter;
  filter.queue = std::string(kHoldQueue);
  return engine.list(filter);
}

void wait_for_waiting(Engine& engine, std::size_t count) {
  Filter filter;
  filter.queue = std::string(kHoldQueue);
  filter.states = {State::kPending, State::kAvailable};
  while (engine.list(filter).value().size() < count) std::this_thread::yield();
}

TEST(Hold, GivesBackWhatTheCodeReturns) {
  Engine engine = open(memory_config());
  const Result<int> number = engine.hold("k", 1, [] { return 7; });
  EXPECT_EQ(number.value(), 7);
  const Result<std::unique_ptr<int>> moved =
      engine.hold("k", 1, [] { return std::make_unique<int>(8); });
  EXPECT_EQ(*moved.value(), 8);
  const Result<void> nothing = engine.hold("k", 1, [](std::stop_token) {});
  EXPECT_TRUE(nothing);
  const Result<int> own = engine.hold("k", 1, []() -> Result<int> {
    return fail(Code::kNotFound, "no such account", "bank");
  });
  ASSERT_FALSE(own);
  EXPECT_EQ(own.error().origin, "bank") << "its own errors come through";
  const auto rows = holds_of(engine).value();
  ASSERT_EQ(rows.size(), 4U);
  for (const auto& row : rows) {
    EXPECT_EQ(row.state, State::kCompleted);
    EXPECT_TRUE(is_hold(row.kind));
    EXPECT_EQ(row.limit->key, "k");
    EXPECT_EQ(row.worker.substr(row.worker.rfind(':') + 1),
              row.kind.substr(kHoldKind.size()));
  }
}

TEST(Hold, NoMoreThanTheLimitRunAtOnceAndAllRun) {
  for (const std::uint32_t limit : {1U, 3U}) {
    Engine engine = open(memory_config());
    std::atomic<std::uint32_t> now{0};
    std::atomic<std::uint32_t> most{0};
    std::atomic<int> ran{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          ASSERT_TRUE(engine.hold("k", limit, [&] {
            const std::uint32_t mine = ++now;
            std::uint32_t seen = most;
            while (seen < mine && !most.compare_exchange_weak(seen, mine)) {
            }
            std::this_thread::yield();
            --now;
            ++ran;
          }));
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(ran, 400);
    EXPECT_LE(most, limit);
  }
}

TEST(Hold, SharesTheLimitWithJobs) {
  for (const char* queue : {"", "memory:"}) {
    Config config = memory_config(2);
    config.queue = queue;
    Engine engine = open(config);
    std::atomic<int> now{0};
    std::atomic<int> together{0};
    const auto visit = [&] {
      if (++now > 1) ++together;
      std::this_thread::yield();
      --now;
    };
    engine.handle("job", [&](Context&) { visit(); });
    std::vector<Request> requests(100, Request{"job", {}, {.limit = Limit{"k", 1}}});
    ASSERT_TRUE(engine.start());
    const auto ids = engine.enqueue(requests);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(engine.hold("k", 1, visit, kLong));
    for (const auto& id : ids) ASSERT_TRUE(engine.wait(id.value(), kLong));
    EXPECT_EQ(together, 0);
    EXPECT_TRUE(engine.health()->unhandled.empty());
  }
}

TEST(Hold, AJobWaitsForAHoldAndRunsAfterIt) {
  Engine engine = open(memory_config());
  engine.handle("job", [](Context&) {});
  ASSERT_TRUE(engine.start());
  std::optional<JobId> id;
  ASSERT_TRUE(engine.hold("k", 1, [&] {
    id = engine.enqueue("job", {}, {.limit = Limit{"k", 1}}).value();
    while (engine.job(*id)->state == State::kAvailable) std::this_thread::yield();
    EXPECT_EQ(engine.job(*id)->state, State::kPending);
  }));
  EXPECT_TRUE(engine.wait(*id, kLong));
}

TEST(Hold, ATimeOutRunsNothingAndLeavesNobodyInLine) {
  Engine engine = open(memory_config());
  ASSERT_TRUE(engine.hold("k", 1, [&] {
    for (const Duration wait : {Duration{0}, Duration{20ms}}) {
      bool ran = false;
      const auto late = engine.hold(
          "k", 1, [&] { ran = true; }, wait);
      ASSERT_FALSE(late);
      EXPECT_EQ(late.error().code, Code::kTimeout);
      EXPECT_EQ(late.error().origin, "hold");
      EXPECT_NE(late.error().message.find("\"k\""), std::string::npos);
      EXPECT_FALSE(ran);
      EXPECT_EQ(holds_of(engine)->front().state, State::kCancelled);
    }
    EXPECT_TRUE(engine.hold(
        "another", 1, [] {}, 0ms))
        << "another key is free";
    EXPECT_TRUE(engine.hold(
        "k", 2, [] {}, 0ms))
        << "its own limit is not reached";
  }));
  EXPECT_TRUE(engine.hold(
      "k", 1, [] {}, 0ms));
}

TEST(Hold, PlacesGoInOrderOfArrivalWithinAnEngine) {
  Engine engine = open(memory_config());
  std::vector<int> order;
  std::vector<std::thread> threads;
  ASSERT_TRUE(engine.hold("k", 1, [&] {
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] {
        ASSERT_TRUE(engine.hold(
            "k", 1, [&] { order.push_back(i); }, kLong));
      });
      wait_for_waiting(engine, static_cast<std::size_t>(i) + 1);
    }
  }));
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(Hold, WhatTheCodeThrowsComesThroughAndThePlaceIsFree) {
  Engine engine = open(memory_config());
  EXPECT_THROW(
      std::ignore = engine.hold("k", 1, [] { throw std::runtime_error("no credit"); }),
      std::runtime_error);
  EXPECT_TRUE(engine.hold(
      "k", 1, [] {}, 0ms));
}

TEST(Hold, StopEndsWaitsAndLaterHoldsWork) {
  Engine engine = open(memory_config());
  std::future<Result<void>> waiting;
  ASSERT_TRUE(engine.hold("k", 1, [&] {
    waiting = std::async(std::launch::async, [&] {
      return engine.hold(
          "k", 1, [] {}, kLong);
    });
    wait_for_waiting(engine, 1);
    engine.stop(0ms);
    const auto stopped = waiting.get();
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Code::kCancelled);
    EXPECT_NE(stopped.error().message.find("stops"), std::string::npos);
  }));
  EXPECT_TRUE(engine.hold(
      "k", 1, [] {}, 0ms));
}

TEST(Hold, AJobThatWaitsWhenItsEngineStopsIsGivenBack) {
  for (const bool runs : {false, true}) {  // in run(), or after start()
    Engine engine = open(memory_config());
    engine.handle("waits", [&](Context&) -> Result<void> {
      return engine.hold(
          "k", 1, [] {}, kLong);
    });
    ASSERT_TRUE(engine.hold("k", 1, [&] {
      const JobId id = engine.enqueue("waits", {}, {.max_attempts = 1}).value();
      std::future<Result<void>> running;
      if (runs) {
        running = std::async(std::launch::async, [&] { return engine.run(); });
      } else {
        ASSERT_TRUE(engine.start());
      }
      wait_for_waiting(engine, 1);
      engine.stop(kLong);
      if (runs) {
        EXPECT_TRUE(running.get());
      }
      const JobRecord job = engine.job(id).value();
      EXPECT_EQ(job.state, State::kAvailable);
      EXPECT_EQ(job.attempt, 0);
    }));
  }
}

TEST(Hold, TheCallerMayGiveUp) {
  Engine engine = open(memory_config());
  std::stop_source source;
  ASSERT_TRUE(engine.hold("k", 1, [&] {
    auto waiting = std::async(std::launch::async, [&] {
      return engine.hold(
          "k", 1, [] {}, kLong, source.get_token());
    });
    wait_for_waiting(engine, 1);
    source.request_stop();
    const auto given_up = waiting.get();
    ASSERT_FALSE(given_up);
    EXPECT_EQ(given_up.error().code, Code::kCancelled);
  }));
  const auto late = engine.hold(
      "k", 1, [] {}, kLong, source.get_token());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kCancelled);
}

TEST(Hold, AnOperatorMayCancelWhoWaitsAndTellWhoHolds) {
  Config config = memory_config();
  config.worker.poll = 5ms;
  Engine engine = open(config);
  ASSERT_TRUE(engine.hold("k", 1, [&](std::stop_token asked) {
    auto waiting = std::async(std::launch::async, [&] {
      return engine.hold(
          "k", 1, [] {}, kLong);
    });
    wait_for_waiting(engine, 1);
    ASSERT_EQ(engine.cancel(holds_of(engine)->front().id).value(), Cancelled::kCancelled);
    const auto cancelled = waiting.get();
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().code, Code::kCancelled);
    ASSERT_EQ(engine.cancel(holds_of(engine)->back().id).value(), Cancelled::kRequested);
    while (!asked.stop_requested()) std::this_thread::yield();
  })) << "it was its own until the end";
}

TEST(Hold, AProducerAndAnInlineEngineMayHold) {
  Config config = memory_config();
  config.role = Role::kProducer;
  Engine producer = open(config);
  EXPECT_TRUE(producer.hold("k", 1, [] {}));
  config.role = Role::kWorker;
  config.mode = Mode::kInline;
  Engine inline_engine = open(config);
  EXPECT_TRUE(inline_engine.hold("k", 1, [&] {
    EXPECT_FALSE(inline_engine.hold(
        "k", 1, [] {}, 1ms))
        << "in the very same thread";
  }));
}

TEST(Hold, AHandlerThatWasAbandonedWhileItHoldsOutlivesTheEngine) {
  Gate gate;
  std::promise<std::pair<Result<void>, bool>> answer;
  {
    Engine engine = open(memory_config());
    engine.handle("deaf", [&](Context&) {
      bool told = false;
      auto held = engine.hold("k", 1, [&](std::stop_token lost) {
        gate.pass();
        told = lost.stop_requested();
      });
      answer.set_value({std::move(held), told});
    });
    ASSERT_TRUE(engine.enqueue("deaf"));
    ASSERT_TRUE(engine.start());
    gate.wait_for(1);
    engine.stop(0s);
  }
  gate.open();
  const auto [held, told] = answer.get_future().get();
  EXPECT_TRUE(told) << "its place is not kept any more";
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Code::kStale) << held.error().message;
}

TEST(Hold, BadArgumentsAreRefusedByName) {
  Engine engine = open(memory_config());
  const auto expect_bad = [](const auto& answer, const char* what) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kInvalid);
    EXPECT_NE(answer.error().message.find(what), std::string::npos)
        << answer.error().message;
  };
  expect_bad(engine.hold("", 1, [] {}), "key");
  expect_bad(engine.hold(std::string(257, 'k'), 1, [] {}), "key");
  expect_bad(engine.hold("k", 0, [] {}), "limit");
  expect_bad(engine.hold(
                 "k", 1, [] {}, -1s),
             "wait");
  const auto job = engine.enqueue(std::string(kHoldKind) + "x");
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().code, Code::kInvalid) << "the kind is reserved";
  expect_bad(engine.enqueue("k", Json(), {.queue = std::string(kHoldQueue)}), "queue");
}

// A store that goes away and comes back, and may forget leases, as the test says.
class Moody final : public conformance::StoreWrapper {
 public:
  struct Mood {
    std::atomic<bool> away{false};
    std::atomic<bool> finish_away{false};
    std::atomic<bool> lose_claims{false};
    std::atomic<bool> no_source{false};
    std::atomic<int> passes_over{0};     // so many beats set nothing free
    std::atomic<bool> rows_held{false};  // by others, so that beats pass them over
    std::atomic<int> held{0};            // such beats that would have renewed them
    std::atomic<int> lost{0};
    std::atomic<int> renewals{0};
    Store* store = nullptr;
  };
  Moody(std::unique_ptr<Store> real, std::shared_ptr<Mood> mood)
      : StoreWrapper(std::move(real)), mood_(std::move(mood)) {
    mood_->store = &StoreWrapper::real();
  }
  std::unique_ptr<ClaimSource> claim_source() override {
    return mood_->no_source ? nullptr : real().claim_source();
  }
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker, std::uint64_t number,
                                         Duration lease) override {
    auto answers = real().claim(tickets, worker, number, lease);
    if (mood_->lose_claims.exchange(false)) {
      ++mood_->lost;
      return fail(Code::kUnavailable, "its answer was lost");
    }
    return answers;
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    if (mood_->away) return fail(Code::kUnavailable, "away");
    if (mood_->rows_held) {
      if (renew) ++mood_->held;
      return std::vector<Pulse>(beats.size(), Pulse::kHeld);
    }
    if (renew) ++mood_->renewals;
    if (beats.empty() && mood_->passes_over-- > 0) return std::vector<Pulse>{};
    return real().beat(worker, settled, beats, renew, lease);
  }
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override {
    if (mood_->away || mood_->finish_away) {
      return {runs.size(), fail(Code::kUnavailable, "away")};
    }
    return real().finish(runs);
  }

 private:
  std::shared_ptr<Mood> mood_;
};

class HoldOnAMoodyStore : public testing::Test {
 protected:
  Engine open_engine(Duration lease) {
    Registry registry = Registry::with_builtins();
    registry.add_store(
        "moody", [this](const Url&, BackendOptions o) -> Result<std::unique_ptr<Store>> {
          if (clock_ != nullptr) o.clock = clock_;
          return std::make_unique<Moody>(make_memory_store(o), mood_);
        });
    Config config = memory_config();
    config.store = "moody:";
    config.queue = "memory:";
    config.worker.lease = lease;
    config.worker.beat = rare_beats_ ? lease / 2 : 5ms;
    config.worker.poll = 5ms;
    return Engine::open(config, registry).value();
  }
  const std::shared_ptr<Moody::Mood> mood_ = std::make_shared<Moody::Mood>();
  const Clock* clock_ = nullptr;  // of its store; null: the process's
  bool rare_beats_ = false;       // as rare as may be
};

TEST_F(HoldOnAMoodyStore, ALeaseThatCannotBeRenewedIsToldBeforeItEnds) {
  Engine engine = open_engine(200ms);
  const auto began = std::chrono::steady_clock::now();
  const auto held = engine.hold("k", 1, [&](std::stop_token lost) {
    mood_->away = true;
    while (!lost.stop_requested()) std::this_thread::yield();
    return 1;
  });
  EXPECT_GE(std::chrono::steady_clock::now() - began, 150ms);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Code::kStale);
}

// By the store's clock its lease does not end: it is told all the same, and is its own.
TEST_F(HoldOnAMoodyStore, APlaceWhoseRowIsHeldIsToldBeforeItsLeaseEnds) {
  const conformance::ManualClock clock;
  clock_ = &clock;
  Engine engine = open_engine(200ms);
  const auto began = std::chrono::steady_clock::now();
  const auto held = engine.hold("k", 1, [&](std::stop_token lost) {
    mood_->rows_held = true;
    const auto until = began + kLong;
    while (!lost.stop_requested() && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    return lost.stop_requested();
  });
  EXPECT_GE(std::chrono::steady_clock::now() - began, 150ms);
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_TRUE(*held);
  EXPECT_GT(mood_->held, 1) << "asked for again";
}

TEST_F(HoldOnAMoodyStore, APlaceWhoseRowIsHeldForAMomentIsKept) {
  rare_beats_ = true;
  Engine engine = open_engine(2s);
  const auto held = engine.hold("k", 1, [&](std::stop_token lost) {
    mood_->rows_held = true;
    while (mood_->held < 1) std::this_thread::yield();
    mood_->rows_held = false;
    while (mood_->renewals < 3 && !lost.stop_requested()) std::this_thread::yield();
    return lost.stop_requested();
  });
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_FALSE(*held);
}

// By the store's clock nothing ends before the test says so: told first is told in time.
TEST_F(HoldOnAMoodyStore, APlaceThatWasLostAndTakenIsStale) {
  conformance::ManualClock clock;
  clock_ = &clock;
  Engine engine = open_engine(1s);
  bool other = false;
  const auto held = engine.hold("k", 1, [&](std::stop_token lost) {
    mood_->away = true;
    const JobId id = holds_of(engine)->front().id;
    while (!lost.stop_requested()) std::this_thread::yield();
    EXPECT_EQ(engine.job(id)->state, State::kRunning);
    clock.advance(1s);
    ASSERT_TRUE(mood_->store->sweep(10));
    EXPECT_EQ(engine.job(id)->state, State::kDiscarded) << "it never runs again";
    mood_->away = false;
    EXPECT_TRUE(engine.hold(
        "k", 1, [&] { other = true; }, kLong));
  });
  EXPECT_TRUE(other);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Code::kStale);
}

TEST_F(HoldOnAMoodyStore, ALongHoldKeepsItsPlace) {
  Engine engine = open_engine(1s);
  const auto held = engine.hold("k", 1, [&](std::stop_token lost) {
    // A third of a lease each: it would have ended long ago.
    while (mood_->renewals < 5)
      EXPECT_FALSE(engine.hold(
          "k", 1, [] {}, 10ms));
    return lost.stop_requested();
  });
  EXPECT_EQ(held.value(), false);
}

TEST_F(HoldOnAMoodyStore, WhatCannotBeFreedAtOnceIsFreedLater) {
  Engine engine = open_engine(kLong);
  mood_->finish_away = true;
  EXPECT_EQ(engine.hold("k", 1, [] { return 5; }).value(), 5) << "held all through";
  EXPECT_FALSE(engine.hold(
      "k", 1, [] {}, 1ms))
      << "but it is not free yet";
  mood_->finish_away = false;
  EXPECT_TRUE(engine.hold(
      "k", 1, [] {}, kLong));
}

TEST_F(HoldOnAMoodyStore, AClaimWhoseAnswerWasLostIsSetFreeAndComesAgain) {
  Engine engine = open_engine(kLong);
  mood_->lose_claims = true;
  EXPECT_TRUE(engine.hold(
      "k", 1, [] {}, kLong));
  EXPECT_EQ(mood_->lost, 1);
  EXPECT_TRUE(engine.hold(
      "k", 1, [] {}, 0ms))
      << "and nothing of it is left";
}

// As where somebody holds its key just then.
TEST_F(HoldOnAMoodyStore, WhatALostClaimTookIsSetFreeByALaterBeatToo) {
  Engine engine = open_engine(kLong);
  mood_->lose_claims = true;
  mood_->passes_over = 1;
  EXPECT_TRUE(engine.hold(
      "k", 1, [] {}, 10s));
  EXPECT_EQ(mood_->lost, 1);
}

TEST_F(HoldOnAMoodyStore, WhatALostClaimOfAWorkerTookIsSetFreeByALaterBeatToo) {
  Engine engine = open_engine(kLong);
  engine.handle("work", [](Context&) {});
  const auto id = engine.enqueue("work").value();
  mood_->lose_claims = true;
  mood_->passes_over = 1;
  ASSERT_TRUE(engine.start());
  EXPECT_TRUE(engine.wait(id, 10s));
  EXPECT_EQ(engine.job(id)->attempt, 1);
  EXPECT_EQ(mood_->lost, 1);
  engine.stop(1s);
}

TEST_F(HoldOnAMoodyStore, WhereTheStoreIsNoQueueTheThreadPeeks) {
  mood_->no_source = true;
  Engine engine = open_engine(kLong);
  std::future<Result<void>> waiting;
  ASSERT_TRUE(engine.hold("k", 1, [&] {
    waiting = std::async(std::launch::async, [&] {
      return engine.hold(
          "k", 1, [] {}, kLong);
    });
    wait_for_waiting(engine, 1);
  }));
  EXPECT_TRUE(waiting.get());
}

}  // namespace
}  // namespace carrel
