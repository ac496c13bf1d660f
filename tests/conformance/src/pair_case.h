// The fixture of the pair suite.
#pragma once

#include <carrel/conformance/faults.h>
#include <carrel/conformance/manual_clock.h>
#include <carrel/conformance/pair.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cases.h"

namespace carrel::conformance {

inline NewJob job(std::string payload = "{}") {
  NewJob job;
  job.kind = "work";
  job.payload = std::move(payload);
  return job;
}

inline Finish finish_of(const Claimed& run, Verdict verdict = Verdict::kCompleted,
                        Duration retry_in = Duration{0}) {
  Finish finish;
  finish.lease = run.lease;
  finish.verdict = verdict;
  finish.retry_in = retry_in;
  finish.result = run.payload;
  return finish;
}

class PairCase : public testing::Test {
 public:
  explicit PairCase(PairHarness harness) : harness_(std::move(harness)) {}

  void SetUp() override {
    options_.clock = &clock_;
    options_.poll = std::chrono::milliseconds(10);
    store_ = must(harness_.store.create(options_));
    ASSERT_NE(store_, nullptr) << harness_.name << " made no store";
    if (fused()) {
      ASSERT_NE(store_->claim_source(), nullptr)
          << "a pair without a queue needs a store with a claim_source";
    } else {
      queue_ = must(harness_.queue(options_));
      ASSERT_NE(queue_, nullptr) << harness_.name << " made no queue";
    }
  }

  // Empty, with a store that runs no more of each queue at once than these say.
  void begin_again(std::map<std::string, std::uint32_t> queue_limits) {
    options_.queue_limits = std::move(queue_limits);
    queue_.reset();
    store_.reset();
    SetUp();
  }

  bool fused() const { return !harness_.queue; }
  bool ordered() const { return fused() || queue_->traits().prioritised; }
  Store& store() { return *store_; }
  Queue* queue() { return queue_.get(); }
  LossyQueue& make_lossy() {
    auto lossy = std::make_unique<LossyQueue>(std::move(queue_));
    LossyQueue& it = *lossy;
    queue_ = std::move(lossy);
    return it;
  }
  FaultPlan& make_crashing() {
    auto plan = std::make_shared<FaultPlan>();
    store_ = std::make_unique<CrashingStore>(std::move(store_), plan);
    return *plan;
  }
  void advance(Duration by) {
    if (harness_.store.advance) {
      harness_.store.advance(by);
    } else {
      clock_.advance(by);
    }
  }
  JobRecord record(JobId id) { return must(store_->monitor().job(id)); }

  // Every run is counted here, and ends as completed unless `verdict` says otherwise.
  std::optional<Finish> run(const Claimed& c) {
    const std::lock_guard lock(mutex_);
    ++runs_[c.lease.id];
    return finish_of(c);
  }
  int runs_of(JobId id) {
    const std::lock_guard lock(mutex_);
    return runs_[id];
  }
  std::mutex& mutex() { return mutex_; }

  void expect_each_completed_once(const std::vector<JobId>& ids) {
    const Counts counts = must(store_->monitor().counts());
    EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kCompleted)], ids.size());
    EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kRunning)], 0U);
    for (JobId id : ids) {
      ASSERT_EQ(runs_of(id), 1) << "job " << value(id);
      ASSERT_EQ(record(id).attempt, 1) << "job " << value(id);
    }
  }

 protected:
  void TestBody() override {}

 private:
  PairHarness harness_;
  ManualClock clock_;
  BackendOptions options_;
  std::unique_ptr<Store> store_;  // before the queue, which may lean on it
  std::unique_ptr<Queue> queue_;
  std::mutex mutex_;
  std::map<JobId, int> runs_;
};

using PairCases = Cases<PairCase, PairHarness>;

// Queues in order, by turns and bounded.
void add_queue_cases(PairCases& cases);

}  // namespace carrel::conformance
