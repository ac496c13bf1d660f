// Two hosts, as it were: an engine that only asks, and one that runs, with a broker
// between them.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/engine.h>
#include <carrel/memory.h>
#include <carrel/sql.h>
#include <gmock/gmock.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <future>
#include <iostream>
#include <mutex>
#include <thread>

#include "../sql/sqlite_files.h"
#include "hosted.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Knows the beats that have come to the hosted store.
class Beats {
 public:
  void one(std::span<const Beat> beats) {
    const std::lock_guard lock(mutex_);
    ++count_;
    for (const Beat& beat : beats) progress_ = progress_ || beat.progress.has_value();
    changed_.notify_all();
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  // Waits until one has brought progress: how many there had been by then.
  std::size_t with_progress() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 60s, [&] { return progress_; }));
    return count_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
  bool progress_ = false;
};

class HeardStore final : public conformance::StoreWrapper {
 public:
  explicit HeardStore(Beats& beats)
      : StoreWrapper(make_memory_store({})), beats_(beats) {}
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    auto pulses = StoreWrapper::beat(worker, settled_claim, beats, renew, lease);
    beats_.one(beats);
    return pulses;
  }

 private:
  Beats& beats_;
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() : broker_(test::start_broker(std::make_unique<HeardStore>(beats_))) {}

  Engine open(carrel::Role role) const {
    Config config;
    config.store = test::url_of(*broker_);
    config.role = role;
    config.log.level = LogLevel::kOff;
    Registry registry = Registry::with_builtins();
    register_zmq(registry);
    return std::move(*Engine::open(config, std::move(registry)));
  }

  Beats beats_;
  std::unique_ptr<Broker> broker_;
};

// A beat is every half second. What a run says goes with the next one, and a cancel comes
// back with the next: one more may have been on its way.
TEST_F(EngineTest, ProgressIsSeenElsewhereAndACancelReachesTheRun) {
  std::promise<std::size_t> said;
  std::promise<std::size_t> stopped;
  Engine worker = open(carrel::Role::kWorker);
  ASSERT_TRUE(worker.handle("long", [&](Context& job) -> Result<Json> {
    const std::size_t before = beats_.count();
    job.progress(0.25F, "a quarter");
    said.set_value(before);
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait(lock, job.stop(), [] { return false; });
    stopped.set_value(beats_.count());
    return Context::error("stopped");
  }));
  ASSERT_TRUE(worker.start());
  Engine producer = open(carrel::Role::kProducer);
  const auto id = producer.enqueue("long");
  ASSERT_TRUE(id) << id.error().message;

  const std::size_t before = said.get_future().get();
  const auto reported = Clock::now();
  EXPECT_LE(beats_.with_progress() - before, 2U);
  const auto job = producer.job(*id);
  const auto seen = Clock::now();
  ASSERT_TRUE(job) << job.error().message;
  ASSERT_TRUE(job->progress);
  EXPECT_EQ(job->progress->fraction, 0.25F);
  EXPECT_EQ(job->progress->message, "a quarter");

  const auto asked = producer.cancel(*id);
  ASSERT_TRUE(asked);
  EXPECT_EQ(*asked, Cancelled::kRequested);
  const std::size_t at_cancel = beats_.count();
  auto end = stopped.get_future();
  ASSERT_EQ(end.wait_for(60s), std::future_status::ready);
  const auto over = Clock::now();
  EXPECT_LE(end.get() - at_cancel, 2U);
  using Milliseconds = std::chrono::duration<double, std::milli>;
  std::cout << "progress was seen after " << Milliseconds(seen - reported).count()
            << " ms, the cancel arrived after " << Milliseconds(over - seen).count()
            << " ms\n";
  const auto result = producer.wait(*id, 60s);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCancelled);
  worker.stop(10s);
}

TEST_F(EngineTest, AResultComesBackToWhoAsked) {
  Engine worker = open(carrel::Role::kWorker);
  ASSERT_TRUE(worker.handle("double", [](Context& job) -> Result<Json> {
    return Json(2 * job.args().get<int>());
  }));
  ASSERT_TRUE(worker.start());
  Engine producer = open(carrel::Role::kProducer);
  const auto id = producer.enqueue("double", 21);
  ASSERT_TRUE(id);
  const auto result = producer.wait(*id, 60s);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(*result, 42);
  worker.stop(10s);
}

// Its sweep stops the broker's one thread, until it is told to go on.
class FreezingStore final : public conformance::StoreWrapper {
 public:
  FreezingStore(std::promise<void>& frozen, std::shared_future<void> thaw)
      : StoreWrapper(make_memory_store({})), frozen_(frozen), thaw_(std::move(thaw)) {}
  Result<Swept> sweep(std::size_t max) override {
    frozen_.set_value();
    thaw_.wait();
    return StoreWrapper::sweep(max);
  }

 private:
  std::promise<void>& frozen_;
  const std::shared_future<void> thaw_;
};

// A SQLite file that workers share, and a broker of tickets that comes and goes.
class TicketsTest : public testing::Test {
 protected:
  void start_broker(std::size_t max_tickets = 1000,
                    std::unique_ptr<Store> store = nullptr) {
    BrokerOptions options;
    options.listen = {endpoint_};
    options.max_tickets = max_tickets;
    options.sweep = false;
    broker_ = test::start_broker(std::move(store), std::move(options));
  }
  Engine open(const std::string& options = {}) const {
    Config config;
    config.store = "sqlite:" + directory_.file("jobs.db");
    config.queue = "zmq+" + endpoint_ + options;
    config.worker.concurrency = 1;
    config.worker.poll = 20ms;
    config.log.level = LogLevel::kOff;
    Registry registry = Registry::with_builtins();
    register_zmq(registry);
    register_sql(registry);
    Engine engine = std::move(*Engine::open(config, std::move(registry)));
    EXPECT_TRUE(engine.handle("echo", [](Context& job) { return job.args(); }));
    return engine;
  }
  static void expect_to_run(Engine& engine, int number) {
    const auto id = engine.enqueue("echo", number);
    ASSERT_TRUE(id) << id.error().message;
    const auto result = engine.wait(*id, 60s);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(*result, number);
  }

  const test::TemporaryDirectory directory_;
  const std::string endpoint_ = "ipc://" + directory_.file("broker");
  std::unique_ptr<Broker> broker_;
};

TEST_F(TicketsTest, JobsRunWhileTheBrokerIsAwayAndTheQueueSaysSo) {
  start_broker();
  Engine engine = open();
  ASSERT_TRUE(engine.start());
  expect_to_run(engine, 1);
  EXPECT_FALSE(engine.health()->queue_error);
  broker_.reset();
  expect_to_run(engine, 2);
  EXPECT_THAT(engine.health()->queue_error.value_or(""), testing::HasSubstr(endpoint_));
  engine.stop(10s);
  ASSERT_TRUE(engine.start()) << "it needs no broker";
  expect_to_run(engine, 3);
  start_broker();
  while (engine.health()->queue_error) std::this_thread::yield();
  expect_to_run(engine, 4);
  engine.stop(10s);
}

TEST_F(TicketsTest, ABrokerThatIsFrozenHoldsUpNoJobAndNoStop) {
  std::promise<void> frozen;
  std::promise<void> thaw;
  start_broker(1000, std::make_unique<FreezingStore>(frozen, thaw.get_future().share()));
  const std::string patient = "?timeout=1m&heartbeat=1m";
  Engine engine = open(patient);
  ASSERT_TRUE(engine.start());
  expect_to_run(engine, 1);
  const auto store = test::open_store("zmq+" + endpoint_ + patient).value();
  auto waits = std::async(std::launch::async, [&] { return store->sweep(1); });
  frozen.get_future().wait();
  expect_to_run(engine, 2);
  EXPECT_THAT(engine.health()->queue_error.value_or(""), testing::HasSubstr(endpoint_));
  engine.stop(10s);
  EXPECT_EQ(waits.wait_for(0s), std::future_status::timeout)
      << "who waits for the broker, until the end of its patience, is not through yet";
  EXPECT_FALSE(engine.health()->queue_error) << "nobody asks it any more";
  thaw.set_value();
  EXPECT_TRUE(waits.get());
}

TEST_F(TicketsTest, AnEngineStartsWhileTheBrokerIsAway) {
  Engine engine = open();
  ASSERT_TRUE(engine.start());
  expect_to_run(engine, 1);
  engine.stop(10s);
}

TEST_F(TicketsTest, ABrokerFullOfAnotherKindStopsNoJob) {
  start_broker(2);
  const auto queue = test::open_queue("zmq+" + endpoint_).value();
  const std::array others = {Ticket{JobId{1001}, "default", "other"},
                             Ticket{JobId{1002}, "default", "other"}};
  ASSERT_EQ(queue->publish(others), 2U);
  const std::vector<std::string> none = {"none"};
  for (int i = 0; i < 2; ++i) {  // the second goes after the tickets, if not the first
    ASSERT_TRUE(queue->receive({{}, none, 1}, 0s));
  }
  Engine engine = open();
  ASSERT_TRUE(engine.start());
  for (int i = 0; i < 10; ++i) expect_to_run(engine, i);
  engine.stop(10s);
}

}  // namespace
}  // namespace carrel::zmq
