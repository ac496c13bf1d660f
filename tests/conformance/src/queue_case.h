// The fixture of the queue suite.
#pragma once

#include <carrel/conformance/manual_clock.h>
#include <carrel/conformance/queue.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cases.h"

namespace carrel::conformance {

inline Ticket ticket(std::uint64_t id, std::string queue = "default",
                     std::string kind = "work", std::int16_t priority = 0) {
  return {JobId{id}, std::move(queue), std::move(kind), priority};
}

class QueueCase : public testing::Test {
 public:
  explicit QueueCase(QueueHarness harness) : harness_(std::move(harness)) {}

  void SetUp() override {
    options_.clock = &clock_;
    options_.poll = std::chrono::milliseconds(20);
    queue_ = must(harness_.create(options_));
    ASSERT_NE(queue_, nullptr) << harness_.name << " made no queue";
  }

  Queue& queue() { return *queue_; }
  bool local() { return queue_->traits().reach == Reach::kProcess; }

  void publish(const std::vector<Ticket>& tickets) {
    EXPECT_EQ(queue_->publish(tickets), tickets.size());
  }
  // What arrives, settled.
  std::vector<Ticket> take(const Demand& demand, Duration wait = Duration{0}) {
    std::vector<Ticket> taken;
    std::vector<std::uint64_t> receipts;
    for (Queue::Delivery& d : must(queue_->receive(demand, wait))) {
      taken.push_back(std::move(d.ticket));
      receipts.push_back(d.receipt);
    }
    EXPECT_LE(taken.size(), demand.max);
    queue_->settle(receipts);
    return taken;
  }
  std::vector<std::uint64_t> take_ids(const Demand& demand, Duration wait = Duration{0}) {
    std::vector<std::uint64_t> ids;
    for (const Ticket& t : take(demand, wait)) ids.push_back(value(t.id));
    return ids;
  }
  // Publishes until one of `demand` arrives: a ticket may be lost.
  Ticket take_one(const Ticket& ticket, const Demand& demand) {
    for (int i = 0; i < 100; ++i) {
      queue_->publish({&ticket, 1});
      auto taken = take(demand, std::chrono::milliseconds(100));
      if (!taken.empty()) return std::move(taken.front());
    }
    ADD_FAILURE() << "a ticket that was published 100 times never arrived";
    return {};
  }

 protected:
  void TestBody() override {}

 private:
  QueueHarness harness_;
  ManualClock clock_;
  BackendOptions options_;
  std::unique_ptr<Queue> queue_;
};

using QueueCases = Cases<QueueCase, QueueHarness>;

// What a demand says of queues: their order, and how many of each.
void add_demand_cases(QueueCases& cases);

}  // namespace carrel::conformance
