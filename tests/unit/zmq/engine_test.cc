// Two hosts, as it were: an engine that only asks, and one that runs, with a broker
// between them.
#include <carrel/engine.h>
#include <carrel/memory.h>
#include <gmock/gmock.h>

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "hosted.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;

class EngineTest : public testing::Test {
 protected:
  EngineTest() : broker_(test::start_broker(make_memory_store({}))) {}

  Engine open(carrel::Role role) const {
    Config config;
    config.store = test::url_of(*broker_);
    config.role = role;
    config.log.level = LogLevel::kOff;
    Registry registry = Registry::with_builtins();
    register_zmq(registry);
    return std::move(*Engine::open(config, std::move(registry)));
  }

  std::unique_ptr<Broker> broker_;
};

TEST_F(EngineTest, ProgressIsSeenElsewhereAndACancelReachesTheRun) {
  std::promise<void> stopped;
  Engine worker = open(carrel::Role::kWorker);
  ASSERT_TRUE(worker.handle("long", [&](Context& job) -> Result<Json> {
    job.progress(0.25F, "a quarter");
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait(lock, job.stop(), [] { return false; });
    stopped.set_value();
    return Context::error("stopped");
  }));
  ASSERT_TRUE(worker.start());
  Engine producer = open(carrel::Role::kProducer);
  const auto id = producer.enqueue("long");
  ASSERT_TRUE(id) << id.error().message;
  // A poll: it ends with the beat that carries it, or with the test's time.
  for (;;) {
    const auto job = producer.job(*id);
    ASSERT_TRUE(job) << job.error().message;
    if (job->progress) {
      EXPECT_EQ(job->progress->fraction, 0.25F);
      EXPECT_EQ(job->progress->message, "a quarter");
      break;
    }
    std::this_thread::sleep_for(5ms);
  }
  const auto asked = producer.cancel(*id);
  ASSERT_TRUE(asked);
  EXPECT_EQ(*asked, Cancelled::kRequested);
  EXPECT_EQ(stopped.get_future().wait_for(60s), std::future_status::ready);
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

}  // namespace
}  // namespace carrel::zmq
