#include "network_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <thread>

namespace carrel::fault {

using namespace std::chrono_literals;

namespace {

Engine open_engine(const std::string& url, Registry registry) {
  Config config;
  config.store = url;
  config.log.level = LogLevel::kOff;
  config.worker.concurrency = 4;
  config.worker.lease = 3s;
  config.worker.beat = 300ms;
  config.worker.poll = 200ms;
  return Engine::open(config, std::move(registry)).value();
}

}  // namespace

NetworkCase::NetworkCase(const std::string& url, Registry registry)
    : engine_(open_engine(url, std::move(registry))) {
  EXPECT_TRUE(engine_.handle("work", [](Context&) {}));
  engine_.on_finished([this](const Event& event) {
    if (event.state != State::kCompleted) return;
    const std::lock_guard lock(mutex_);
    ++completed_[event.job.lease.id];
    changed_.notify_all();
  });
  EXPECT_TRUE(engine_.start());
}

// The same request until it is acknowledged.
JobId NetworkCase::enqueue() {
  EnqueueOptions options;
  options.request_id = "request-" + std::to_string(++number_);
  for (;;) {
    const auto before = Clock::now();
    const auto id = engine_.enqueue("work", {}, options);
    longest_ = std::max(longest_, Clock::now() - before);
    if (id) return *id;
    EXPECT_EQ(id.error().code, Code::kUnavailable) << id.error().message;
  }
}

bool NetworkCase::wait_for(JobId id) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, 60s, [&] { return completed_.contains(id); });
}

void NetworkCase::during(const std::function<void()>& break_it, Clock::duration wait,
                         const std::function<void()>& mend_it) {
  for (int i = 0; i < 20; ++i) ids_.push_back(enqueue());
  break_it();
  std::jthread asking([&] { ids_.push_back(enqueue()); });
  std::this_thread::sleep_for(wait);  // the fault itself
  mend_it();
  const auto mended = Clock::now();
  asking.join();
  ids_.push_back(enqueue());
  ASSERT_TRUE(wait_for(ids_.back()));
  slowest_ = std::max(slowest_, Clock::now() - mended);
}

void NetworkCase::expect_all(Clock::duration longest_call) {
  for (const JobId id : ids_) ASSERT_TRUE(wait_for(id)) << "job " << value(id);
  engine_.stop(10s);
  const std::lock_guard lock(mutex_);
  for (const auto& [id, times] : completed_) {
    EXPECT_EQ(times, 1) << "job " << value(id);
  }
  using Seconds = std::chrono::duration<double>;
  std::cout << "longest call " << Seconds(longest_).count() << " s, work resumed after "
            << Seconds(slowest_).count() << " s at most\n";
  EXPECT_LE(longest_, longest_call);
  EXPECT_LE(slowest_, 5s);
}

}  // namespace carrel::fault
