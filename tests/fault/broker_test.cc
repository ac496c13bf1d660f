// The broker under load: killed with -9 and started again, as are workers and producers;
// and stopped, as workers are, for longer than a lease. Then the checker looks for what
// was lost or done twice.
//
// FAULT_KILLS and FAULT_STOPS in the environment make it longer (broker_case.h).
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "broker_case.h"

namespace carrel::fault {
namespace {

class BrokerFaultTest : public BrokerCase {
 protected:
  BrokerFaultTest() : BrokerCase(6'000) {
    const std::string socket = "ipc://" + (folder_.path() / "sock").string();
    listen_on(socket, "zmq+" + socket);
    broker_.emplace(broker());
    for (std::size_t i = 0; i < kWorkers; ++i) workers_.push_back(worker(i));
  }
  static void kill_now(Child& victim) {
    victim.signal(SIGKILL);
    const auto status = victim.wait_end(60s);
    ASSERT_TRUE(status && WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL)
        << "it ended by itself";
  }
  // Fault i of n: there is something to do when it comes.
  void produce_for(std::size_t i, std::size_t n) {
    if (i * kChunks / n >= next_chunk_) produce();
  }
};

TEST_F(BrokerFaultTest, KilledItLosesNothingAndDoesNothingTwice) {
  const std::size_t kills = from_environment("FAULT_KILLS", 18);
  for (std::size_t i = 0; i < kills; ++i) {
    ASSERT_NO_FATAL_FAILURE(produce_for(i, kills));
    // At random, not to wait for anything.
    std::this_thread::sleep_for(some(20ms, 320ms));
    if (i % 3 == 1) {
      const std::size_t victim = random_() % kWorkers;
      ASSERT_NO_FATAL_FAILURE(kill_now(workers_[victim]));
      workers_[victim] = worker(victim);
    } else if (i % 6 == 2 && producer_ && !producer_->ended()) {
      producer_->signal(SIGKILL);
    } else {
      ASSERT_NO_FATAL_FAILURE(kill_now(*broker_));
      std::this_thread::sleep_for(some(0ms, 400ms));  // away for a while
      broker_.emplace(broker());
    }
  }
  conformance::CheckReport report;
  expect_nothing_lost(report);
}

// Whoever comes back finds that its leases are over, and others at work.
TEST_F(BrokerFaultTest, StoppedBeyondALeaseNothingIsDoneTwice) {
  const std::size_t stops = from_environment("FAULT_STOPS", 8);
  for (std::size_t i = 0; i < stops; ++i) {
    ASSERT_NO_FATAL_FAILURE(produce_for(i, stops));
    std::this_thread::sleep_for(some(20ms, 320ms));
    Child& victim = i % 2 == 0 ? *broker_ : workers_[random_() % kWorkers];
    victim.signal(SIGSTOP);
    ASSERT_TRUE(victim.wait_stopped(60s));
    std::this_thread::sleep_for(some(kLease * 3 / 2, kLease * 5 / 2));
    victim.signal(SIGCONT);
  }
  conformance::CheckReport report;
  ASSERT_NO_FATAL_FAILURE(expect_nothing_lost(report));
  EXPECT_GT(report.repeated, 0U) << "no lease ended under anybody";
  EXPECT_GT(report.stale_finishes + report.stale_beats, 0U) << "nobody came too late";
}

}  // namespace
}  // namespace carrel::fault
