// Queues in order, bounds and limits of queues, through a broker.
#include <carrel/engine.h>
#include <carrel/memory.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "hosted.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<std::string> kWork = {"work"};

NewJob job_of(std::string queue) {
  NewJob job;
  job.queue = std::move(queue);
  job.kind = "work";
  job.payload = "{}";
  return job;
}

std::unique_ptr<Store> limited_store(std::uint32_t most) {
  BackendOptions options;
  options.queue_limits = {{"a", most}};
  return make_memory_store(options);
}

TEST(BrokerQueues, TheLimitsOfItsOwnConfigurationHoldForAllItsClients) {
  const auto broker = test::start_broker(limited_store(2));
  const auto one = test::open_store(test::url_of(*broker)).value();
  const auto two = test::open_store(test::url_of(*broker)).value();
  for (int i = 0; i < 3; ++i) {
    const NewJob job = job_of("a");
    ASSERT_TRUE(one->insert({&job, 1}, 10s)[0]);
  }
  const auto source = one->claim_source();
  const auto other = two->claim_source();
  const auto runs = source->claim({{}, kWork, 1}, "one", 1, 1h, 0s).value();
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_THAT(other->claim({{}, kWork, 9}, "two", 1, 1h, 0s).value(), SizeIs(1));
  EXPECT_THAT(source->claim({{}, kWork, 9}, "one", 2, 1h, 0s).value(), IsEmpty());
  // Who waits hears of the end of a run, wherever it was.
  auto waits = std::async(std::launch::async, [&] {
    return other->claim({{}, kWork, 1}, "two", 2, 1h, 1min).value();
  });
  EXPECT_EQ(waits.wait_for(50ms), std::future_status::timeout);
  Finish finish;
  finish.lease = runs[0].lease;
  ASSERT_TRUE(one->finish({&finish, 1})[0]);
  EXPECT_THAT(waits.get(), SizeIs(1));
}

TEST(BrokerQueues, AClientWithLimitsOfItsOwnIsRefusedWithTheReason) {
  const auto broker = test::start_broker(make_memory_store({}));
  BackendOptions options;
  options.queue_limits = {{"a", 1}};
  const auto store = test::open_store(test::url_of(*broker), options);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kInvalid)
      << "the configuration's, not the broker's";
  EXPECT_THAT(store.error().message, HasSubstr("queues.a.limit"));
  EXPECT_THAT(store.error().message, HasSubstr("limits of its own configuration"));
}

// An engine whose store, or whose queue, is a broker.
class EngineQueues : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    broker_ = test::start_broker(make_memory_store({}));
    config_.store = test::url_of(*broker_);
    if (GetParam()) config_.queue = test::url_of(*broker_, "?timeout=10s");
    config_.worker.concurrency = 3;
    config_.worker.queues = {"pull", "push"};
    config_.log.level = LogLevel::kOff;
  }

  std::unique_ptr<zmq::Broker> broker_;
  Config config_;
};
INSTANTIATE_TEST_SUITE_P(Broker, EngineQueues, testing::Bool(), [](const auto& which) {
  return which.param ? "Tickets" : "Fused";
});

TEST_P(EngineQueues, AFullQueueIsTakenFromAgainWhenARunEnds) {
  config_.queues["push"].concurrency = 1;
  config_.worker.poll = 1h;  // nothing is found by looking again
  Registry registry = Registry::with_builtins();
  register_zmq(registry);
  auto engine = Engine::open(config_, std::move(registry)).value();
  std::atomic<int> now{0};
  std::atomic<bool> crowded{false};
  engine.handle("push", [&](Context&) {
    if (++now > 1) crowded = true;
    std::this_thread::yield();
    --now;
  });
  engine.handle("pull", [](Context&) {});
  ASSERT_TRUE(engine.start());
  std::vector<JobId> ids;
  for (int i = 0; i < 10; ++i) {
    ids.push_back(engine.enqueue("push", {}, {.queue = "push"}).value());
    ids.push_back(engine.enqueue("pull", {}, {.queue = "pull"}).value());
  }
  for (const JobId id : ids) ASSERT_TRUE(engine.wait(id, 30s));
  EXPECT_FALSE(crowded);
}

}  // namespace
}  // namespace carrel
