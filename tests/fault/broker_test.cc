// The broker's kill test: it hosts a SQLite file, and is killed with -9 and started again
// under load, as are workers and producers; then the checker looks for what was lost or
// done twice.
//
// FAULT_JOBS, FAULT_KILLS and FAULT_SEED in the environment make it longer, or the same
// again.
#include <carrel/conformance/checker.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "child.h"
#include "folder.h"
#include "work.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr std::size_t kWorkers = 3;
constexpr std::size_t kChunks = 12;

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::stoul(text) : otherwise;
}

class BrokerKillTest : public testing::Test {
 protected:
  BrokerKillTest()
      : jobs_(from_environment("FAULT_JOBS", 6'000)),
        kills_(from_environment("FAULT_KILLS", 18)),
        seed_(from_environment("FAULT_SEED", std::random_device{}() % 1'000'000)),
        random_(static_cast<unsigned>(seed_)) {
    const std::string socket = "ipc://" + (folder_.path() / "sock").string();
    std::ofstream(folder_.path() / "store") << "zmq+" << socket << "\n";
    std::ofstream(folder_.path() / "broker.toml")
        << "listen = [\"" << socket << "\"]\nstore = \"sqlite:jobs.db\"\n"
        << "[log]\nlevel = \"error\"\n";
  }

  Child broker() {
    return Child(
        {BROKER_PROGRAM, "serve", "--config", (folder_.path() / "broker.toml").string()});
  }
  Child worker() {
    Child child({FAULT_WORKER, folder_.path().string(), "1000", "6"});
    EXPECT_EQ(child.wait_line(), "READY") << "a worker did not start";
    return child;
  }
  void produce() {
    finish_producer();
    if (next_chunk_ == kChunks) return;
    command_ = {FAULT_PRODUCER, folder_.path().string(),
                std::to_string(jobs_ * next_chunk_ / kChunks),
                std::to_string(jobs_ * (next_chunk_ + 1) / kChunks)};
    ++next_chunk_;
    producer_.emplace(command_);
  }
  // Starts it again until the chunk is enqueued.
  void finish_producer() {
    while (producer_) {
      const auto status = producer_->wait_end(120s);
      ASSERT_TRUE(status) << "a producer hangs";
      producer_.reset();
      if (WIFSIGNALED(*status)) {
        producer_.emplace(command_);
      } else {
        ASSERT_EQ(WEXITSTATUS(*status), 0) << "a producer failed";
      }
    }
  }
  static void kill_now(Child& victim) {
    victim.signal(SIGKILL);
    const auto status = victim.wait_end(60s);
    ASSERT_TRUE(status && WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL)
        << "it ended by itself";
  }
  // A poll, which gives up when nothing has become final for a minute.
  void expect_all_final(Store& store) const {
    std::uint64_t seen = 0;
    auto patience = std::chrono::steady_clock::now() + 60s;
    for (;;) {
      const auto counts = store.monitor().counts();
      std::uint64_t now = 0;
      for (std::size_t s = 0; counts && s < kStateCount; ++s) {
        if (is_final(static_cast<State>(s))) now += counts->total[s];
      }
      if (now == jobs_) return;
      if (now > seen) patience = std::chrono::steady_clock::now() + 60s;
      seen = now;
      ASSERT_LT(std::chrono::steady_clock::now(), patience)
          << "the workers rest at " << now << " of " << jobs_ << " jobs";
      std::this_thread::sleep_for(50ms);
    }
  }
  std::vector<conformance::Event> all_events() const {
    std::vector<conformance::Event> all;
    for (const char* who : {"producer", "handler", "store"}) {
      auto events =
          or_die(conformance::read_events(Place{folder_.path()}.log(who)), "events");
      all.insert(all.end(), events.begin(), events.end());
    }
    return all;
  }

  const std::size_t jobs_;
  const std::size_t kills_;
  const std::size_t seed_;
  std::mt19937 random_;
  const Folder folder_;
  std::optional<Child> broker_;
  std::vector<Child> workers_;
  std::optional<Child> producer_;
  std::vector<std::string> command_;
  std::size_t next_chunk_ = 0;
};

TEST_F(BrokerKillTest, NothingIsLostAndNothingIsDoneTwice) {
  std::cout << "seed " << seed_ << "\n";
  broker_.emplace(broker());
  for (std::size_t i = 0; i < kWorkers; ++i) workers_.push_back(worker());
  for (std::size_t i = 0; i < kills_; ++i) {
    if (i * kChunks / kills_ >= next_chunk_) {
      ASSERT_NO_FATAL_FAILURE(produce());
    }
    // At random, not to wait for anything.
    std::this_thread::sleep_for(milliseconds(20 + random_() % 300));
    if (i % 3 == 1) {
      Child& victim = workers_[random_() % kWorkers];
      ASSERT_NO_FATAL_FAILURE(kill_now(victim));
      victim = worker();
    } else if (i % 6 == 2 && producer_ && !producer_->ended()) {
      producer_->signal(SIGKILL);
    } else {
      ASSERT_NO_FATAL_FAILURE(kill_now(*broker_));
      std::this_thread::sleep_for(milliseconds(random_() % 400));  // away for a while
      broker_.emplace(broker());
    }
  }
  while (next_chunk_ < kChunks) ASSERT_NO_FATAL_FAILURE(produce());
  ASSERT_NO_FATAL_FAILURE(finish_producer());

  const auto store =
      or_die(open_store("sqlite:" + (folder_.path() / "jobs.db").string()), "open");
  ASSERT_NO_FATAL_FAILURE(expect_all_final(*store));
  for (Child& w : workers_) {
    w.end_input();
    const auto status = w.wait_end(60s);
    ASSERT_TRUE(status && WIFEXITED(*status)) << "a worker does not stop";
    EXPECT_EQ(WEXITSTATUS(*status), 0);
  }
  broker_->signal(SIGTERM);
  const auto status = broker_->wait_end(60s);
  ASSERT_TRUE(status && WIFEXITED(*status)) << "the broker does not stop";

  const auto report = conformance::check(*store, all_events());
  ASSERT_TRUE(report) << report.error().message;
  std::cout << conformance::to_string(*report);
  EXPECT_TRUE(report->broken.empty());
  EXPECT_EQ(report->acknowledged, jobs_);
  EXPECT_EQ(report->completed, jobs_);
}

}  // namespace
}  // namespace carrel::fault
