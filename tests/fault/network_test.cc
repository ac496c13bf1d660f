// A worker behind a network that breaks: cut, delayed, a black hole, half-open. No call
// blocks for more than ten seconds, work goes on, and nothing completes twice.
#include <carrel/engine.h>
#include <carrel/memory.h>
#include <carrel/zmq.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "tcp_proxy.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class NetworkTest : public testing::Test {
 protected:
  NetworkTest()
      : broker_(std::move(*zmq::Broker::start(options(), make_memory_store({})))),
        proxy_(port_of(broker_->endpoints().at(0))) {}

  static zmq::BrokerOptions options() {
    zmq::BrokerOptions options;
    options.listen = {"tcp://127.0.0.1:*"};
    return options;
  }
  static std::uint16_t port_of(const std::string& endpoint) {
    return static_cast<std::uint16_t>(
        std::stoul(endpoint.substr(endpoint.rfind(':') + 1)));
  }
  std::string behind_proxy() const {
    return "zmq+tcp://127.0.0.1:" + std::to_string(proxy_.port());
  }
  Engine open(const std::string& url) const {
    Config config;
    config.store = url;
    config.log.level = LogLevel::kOff;
    config.worker.concurrency = 4;
    config.worker.lease = 3s;
    config.worker.beat = 300ms;
    config.worker.poll = 200ms;
    Registry registry = Registry::with_builtins();
    register_zmq(registry);
    return std::move(*Engine::open(config, std::move(registry)));
  }

  std::unique_ptr<zmq::Broker> broker_;
  TcpProxy proxy_;
};

TEST_F(NetworkTest, WorkGoesOnWhateverBreaks) {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::uint64_t, int> completed;
  Engine engine = open(behind_proxy());
  ASSERT_TRUE(engine.handle("work", [](Context&) {}));
  engine.on_finished([&](const Event& event) {
    if (event.state != State::kCompleted) return;
    const std::lock_guard lock(mutex);
    ++completed[value(event.job.lease.id)];
    changed.notify_all();
  });
  ASSERT_TRUE(engine.start());

  Clock::duration longest{};
  Clock::duration slowest{};
  int number = 0;
  // The same request until it is acknowledged: the id of its job.
  const auto enqueue = [&] {
    EnqueueOptions options;
    options.request_id = "request-" + std::to_string(++number);
    for (;;) {
      const auto before = Clock::now();
      const auto id = engine.enqueue("work", {}, options);
      longest = std::max(longest, Clock::now() - before);
      if (id) return *id;
      EXPECT_EQ(id.error().code, Code::kUnavailable) << id.error().message;
    }
  };
  std::vector<JobId> ids;
  const std::vector<TcpProxy::Mode> faults{
      TcpProxy::Mode::kCut,       TcpProxy::Mode::kDelay,    TcpProxy::Mode::kHalfOpen,
      TcpProxy::Mode::kBlackHole, TcpProxy::Mode::kCut,      TcpProxy::Mode::kHalfOpen,
      TcpProxy::Mode::kDelay,     TcpProxy::Mode::kBlackHole};
  for (const TcpProxy::Mode fault : faults) {
    for (int i = 0; i < 20; ++i) ids.push_back(enqueue());
    proxy_.set(fault);
    std::jthread asking([&] { ids.push_back(enqueue()); });
    std::this_thread::sleep_for(2s);  // the fault itself
    proxy_.set(TcpProxy::Mode::kPass);
    const auto healed = Clock::now();
    asking.join();
    ids.push_back(enqueue());
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, 60s,
                                 [&] { return completed.contains(value(ids.back())); }));
    slowest = std::max(slowest, Clock::now() - healed);
  }
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, 60s, [&] { return completed.size() == ids.size(); }))
      << completed.size() << " of " << ids.size();
  for (const auto& [id, times] : completed) EXPECT_EQ(times, 1) << "job " << id;
  using Seconds = std::chrono::duration<double>;
  std::cout << "longest call " << Seconds(longest).count() << " s, work resumed after "
            << Seconds(slowest).count() << " s at most\n";
  EXPECT_LE(longest, 10s);
  EXPECT_LE(slowest, 5s);
  lock.unlock();
  engine.stop(10s);
}

}  // namespace
}  // namespace carrel::fault
