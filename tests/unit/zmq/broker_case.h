// A broker over a memory store, or another, and bare peers that ask it.
#pragma once

#include <carrel/memory.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "hosted.h"
#include "raw_peer.h"

namespace carrel::zmq {

using namespace std::chrono_literals;

class BrokerTest : public testing::Test {
 protected:
  explicit BrokerTest(BrokerOptions options = {},
                      std::unique_ptr<Store> store = make_memory_store({})) {
    options.sweep = false;
    broker_ = test::start_broker(std::move(store), std::move(options));
  }

  const std::string& endpoint() const { return broker_->endpoints().at(0); }
  RawPeer peer() const { return RawPeer(endpoint()); }

  static Enqueue enqueue(std::size_t jobs = 1, std::string payload = "{}") {
    Enqueue enqueue;
    NewJob job;
    job.kind = "work";
    job.payload = std::move(payload);
    enqueue.jobs.assign(jobs, job);
    enqueue.deadline = 10s;
    return enqueue;
  }
  static Take take(Duration wait = Duration{0}, std::uint32_t max = 1,
                   std::uint64_t number = 1) {
    Take take;
    take.kinds = {"work"};
    take.max = max;
    take.worker = "raw-worker";
    take.claim_number = number;
    take.lease = 1h;
    take.wait = wait;
    return take;
  }
  // How often it has to be asked until it says so.
  template <class Until>
  BrokerHealth health_until(Until until) const {
    for (;;) {
      BrokerHealth health = broker_->health();
      if (until(health)) return health;
      std::this_thread::yield();
    }
  }

  std::unique_ptr<Broker> broker_;
};

}  // namespace carrel::zmq
