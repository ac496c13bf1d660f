// The clock of a database is put an hour forward and back while workers run, as a host's
// is that was wrong, or whose virtual machine slept. A server's is its own; SQLite's is
// the host's, of all who share the file.
//
// What the store promises: only that clock counts, whatever those of a server's workers
// say. A step forward makes due what falls due within it, and ends all leases: what runs
// is run again, and whoever ran it first is refused. A step back makes everything wait
// that much longer. Nothing is lost, done twice, or before its time by that clock.
#include <carrel/conformance/checker.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "child.h"
#include "database.h"
#include "folder.h"
#include "servers/stepped_clock.h"
#include "work.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kWorkers = 3;
constexpr std::size_t kBefore = 200;  // jobs before each step
constexpr std::size_t kAfter = 100;
constexpr std::size_t kJobs = 4 * (kBefore + kAfter);

class ClockStep : public testing::TestWithParam<const DatabaseKind*> {
 protected:
  void SetUp() override {
    for (const std::string& missing :
         {GetParam()->missing(), test::SteppedClock::missing()}) {
      if (!missing.empty()) GTEST_SKIP() << missing << " is not installed";
    }
    database_ = GetParam()->start({.folder = place_.folder, .own_clock = true});
    std::ofstream(place_.folder / "store") << database_->url() << "\n";
    BackendOptions options;
    options.clock = database_->clock();
    store_ = or_die(open_store(place_.store(), options), "open");
  }
  void TearDown() override {
    for (const pid_t process : processes_) test::SteppedClock::clear_up(process);
  }

  Child by_clock(const std::vector<std::string>& command) {
    Child child(database_->by_clock(command));
    processes_.push_back(child.pid());
    return child;
  }
  Child worker() {
    Child child = by_clock({FAULT_WORKER, place_.folder.string(), "2000", "6"});
    if (child.wait_line() != "READY") ADD_FAILURE() << "a worker did not start";
    return child;
  }

  void produce(std::size_t from, std::size_t to) {
    Child producer = by_clock({FAULT_PRODUCER, place_.folder.string(),
                               std::to_string(from), std::to_string(to)});
    ASSERT_EQ(producer.wait_end(60s), 0);
  }

  // The library that steps a server's clock allocates memory, also in a handler of a
  // signal: now and then a session of PostgreSQL dies of that, and the server begins
  // anew.
  template <class Ask>
  auto when_there(Ask ask, const char* what) {
    auto answer = ask();
    until([&] {
      if (answer || answer.error().code != Code::kUnavailable) return true;
      answer = ask();
      return false;
    });
    return or_die(std::move(answer), what);
  }
  Counts counts() {
    return when_there([&] { return store_->monitor().counts(); }, "counts");
  }
  std::uint64_t completed() {
    return counts().total[static_cast<std::size_t>(State::kCompleted)];
  }
  State state(JobId id) { return or_die(store_->monitor().job(id), "job").state; }
  template <class Done>
  void until(Done done) {
    for (const auto end = std::chrono::steady_clock::now() + 60s; !done();) {
      if (std::chrono::steady_clock::now() > end) FAIL() << "it does not happen";
      std::this_thread::sleep_for(10ms);
    }
  }

  // A job of a kind that nobody handles: it only falls due.
  JobId later(Duration delay) {
    NewJob job;
    job.kind = "later";
    job.delay = delay;
    return or_die(std::move(store_->insert({&job, 1}, 60s).at(0)), "insert").id;
  }

  const Folder folder_;
  const Place place_{folder_.path()};
  std::unique_ptr<Database> database_;
  std::unique_ptr<Store> store_;
  std::vector<pid_t> processes_;
};

TEST_P(ClockStep, WhatFallsDueIsTheClocksAlone) {
  const JobId in_half_an_hour = later(30min);
  const JobId in_two_hours = later(2h);
  const auto sweep = [&] { ASSERT_TRUE(store_->sweep(100)); };
  sweep();
  EXPECT_EQ(state(in_half_an_hour), State::kScheduled);
  database_->set_clock(-1h);
  sweep();
  EXPECT_EQ(state(in_half_an_hour), State::kScheduled);
  database_->set_clock(1h);
  sweep();
  EXPECT_EQ(state(in_half_an_hour), State::kAvailable);
  EXPECT_EQ(state(in_two_hours), State::kScheduled);
  database_->set_clock(0s);
  sweep();
  EXPECT_EQ(state(in_half_an_hour), State::kAvailable) << "what is due stays so";
}

TEST_P(ClockStep, NothingIsLostAndNothingIsDoneTwice) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  if (!GetParam()->has_server) GTEST_SKIP() << "no clock for a sanitizer's processes";
#endif
  std::vector<Child> workers;
  for (std::size_t i = 0; i < kWorkers; ++i) workers.push_back(worker());
  std::size_t asked = 0;
  const auto produce_more = [&](std::size_t jobs) {
    produce(asked, asked + jobs);
    asked += jobs;
  };
  // Last comes the latest time of all: what waits for it need not wait for an hour.
  for (const auto step : {1h, 0h, -1h, 1h}) {
    ASSERT_NO_FATAL_FAILURE(produce_more(kBefore));
    // Only those that take long are left.
    ASSERT_NO_FATAL_FAILURE(until([&] {
      const Counts now = counts();
      const auto number = [&](State state) {
        return now.total[static_cast<std::size_t>(state)];
      };
      return number(State::kAvailable) == 0 && number(State::kRunning) < 4;
    }));
    database_->set_clock(step);
    if (step < 0h) {  // the leases of its runs end in more than an hour
      workers[0].signal(SIGKILL);
      workers[0] = worker();
    }
    const std::uint64_t then = completed();
    ASSERT_NO_FATAL_FAILURE(produce_more(kAfter));
    ASSERT_NO_FATAL_FAILURE(until([&] { return completed() >= then + kAfter / 2; }));
  }
  ASSERT_NO_FATAL_FAILURE(until([&] {
    const Counts now = counts();
    std::uint64_t left = 0;
    for (std::size_t s = 0; s < kStateCount; ++s) {
      if (!is_final(static_cast<State>(s))) left += now.total[s];
    }
    return left == 0;
  }));
  for (Child& w : workers) {
    w.end_input();
    EXPECT_EQ(w.wait_end(60s), 0);
  }
  const auto events = events_of(place_);
  const auto report =
      when_there([&] { return conformance::check(*store_, events); }, "check");
  std::cout << conformance::to_string(report);
  EXPECT_EQ(report.acknowledged, kJobs);
  EXPECT_EQ(report.completed - report.unnamed + report.met, kJobs);
  // The step forward ends leases before their time has passed, which is what rule 5 would
  // have, and so frees places of keys, which rule 10 counts; by the database's clock they
  // were over. The step back makes the periods of unique keys longer than rule 12 would
  // have them.
  for (const std::string& rule : report.broken) {
    EXPECT_THAT(rule, testing::AnyOf(testing::StartsWith("rule 5,"),
                                     testing::StartsWith("rule 10,"),
                                     testing::StartsWith("rule 12,")));
  }
  EXPECT_GT(report.repeated, 0U) << "the step forward should have met runs";
  EXPECT_GT(report.stale_finishes + report.stale_beats, 0U) << "duplicates are fenced";
  store_.reset();
  EXPECT_THAT(database_->unsound(), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Stores, ClockStep,
                         testing::Values(&kSqlite, &kPostgresql, &kMariadb),
                         [](const auto& kind) { return kind.param->name; });

}  // namespace
}  // namespace carrel::fault
