// The kill test: workers and producers die by kill -9 at named points and at random, and
// are stopped for longer than a lease, and database servers are restarted under them;
// then the checker looks for what was lost or done twice.
//
// FAULT_JOBS, FAULT_KILLS, FAULT_STOPS, FAULT_RESTARTS and FAULT_SEED in the environment
// make it longer, or the same again.
#include <carrel/conformance/checker.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "child.h"
#include "database.h"
#include "folder.h"
#include "work.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr milliseconds kLease = 1s;
constexpr std::size_t kWorkers = 3;
constexpr std::size_t kChunks = 20;  // of the jobs, a producer each

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::stoul(text) : otherwise;
}

enum class Fault {
  kKillWorkerAtPoint,
  kKillWorkerAtRandom,
  kKillProducerAtPoint,
  kKillProducerAtRandom,
  kStopWorkerAtPoint,
  kStopWorkerAtRandom,
  kRestartServer,
  kKillServer,
};

struct StoreUnderTest {
  const DatabaseKind& kind;
  std::size_t jobs;
  std::size_t kills;
  std::size_t stops;
  std::size_t restarts;
};
void PrintTo(const StoreUnderTest* store, std::ostream* out) { *out << store->kind.name; }

const StoreUnderTest kOnSqlite = {kSqlite, 20'000, 30, 25, 0};
const StoreUnderTest kOnPostgresql = {kPostgresql, 8'000, 20, 8, 4};
const StoreUnderTest kOnMariadb = {kMariadb, 5'000, 15, 6, 3};

class KillTest : public testing::TestWithParam<const StoreUnderTest*> {
 protected:
  KillTest()
      : jobs_(from_environment("FAULT_JOBS", GetParam()->jobs)),
        kills_(from_environment("FAULT_KILLS", GetParam()->kills)),
        stops_(from_environment("FAULT_STOPS", GetParam()->stops)),
        restarts_(from_environment("FAULT_RESTARTS", GetParam()->restarts)),
        seed_(from_environment("FAULT_SEED", std::random_device{}() % 1'000'000)),
        random_(static_cast<unsigned>(seed_)) {}

  milliseconds some(milliseconds least, milliseconds most) {
    return milliseconds(std::uniform_int_distribution<milliseconds::rep>(
        least.count(), most.count())(random_));
  }
  std::size_t pick(std::size_t n) { return random_() % n; }

  Child worker() {
    Child child(
        {FAULT_WORKER, place_.folder.string(), std::to_string(kLease.count()), "6"});
    if (child.wait_line() != "READY") ADD_FAILURE() << "a worker did not start";
    return child;
  }

  // Starts the producer of the next chunk, with a fault where one is given.
  void produce(const std::string& point = {}) {
    finish_producer();
    if (next_chunk_ == kChunks) return;
    const std::size_t from = jobs_ * next_chunk_ / kChunks;
    const std::size_t to = jobs_ * (next_chunk_ + 1) / kChunks;
    ++next_chunk_;
    command_ = {FAULT_PRODUCER, place_.folder.string(), std::to_string(from),
                std::to_string(to)};
    std::vector<std::string> faulty = command_;
    if (!point.empty()) {
      faulty.insert(faulty.end(), {point, "kill", std::to_string(pick(10))});
    }
    producer_.emplace(faulty);
  }

  // Asks again until the chunk is enqueued.
  void finish_producer() {
    while (producer_) {
      const auto status = producer_->wait_end(60s);
      ASSERT_TRUE(status) << "a producer hangs";
      producer_.reset();
      if (WIFSIGNALED(*status)) {
        ASSERT_EQ(WTERMSIG(*status), SIGKILL);
        producer_.emplace(command_);
      } else {
        ASSERT_EQ(WEXITSTATUS(*status), 0) << "a producer failed";
      }
    }
  }

  void kill_worker(const std::string& point) {
    Child& victim = workers_[pick(kWorkers)];
    if (point.empty()) {
      std::this_thread::sleep_for(
          some(10ms, 150ms));  // at random, not to wait for anything
      victim.signal(SIGKILL);
    } else {
      victim.tell("arm " + point + " kill " + std::to_string(pick(4)));
      if (victim.wait_end(3s)) {
        ++at_named_points_;
      } else {
        victim.signal(SIGKILL);  // it had no job to do
      }
    }
    const auto status = victim.wait_end(60s);
    ASSERT_TRUE(status && WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL)
        << "a worker ended by itself";
    victim = worker();
  }

  void kill_producer(const std::string& point) {
    produce(point);
    ASSERT_TRUE(producer_);
    if (point.empty()) {
      std::this_thread::sleep_for(some(5ms, 60ms));  // at random
      producer_->signal(SIGKILL);
    } else if (const auto status = producer_->wait_end(60s);
               status && WIFSIGNALED(*status)) {
      ++at_named_points_;
    }
  }

  void stop_worker(const std::string& point) {
    Child& victim = workers_[pick(kWorkers)];
    bool stopped = false;
    if (!point.empty()) {
      victim.tell("arm " + point + " stop 0");
      stopped = victim.wait_stopped(3s);
      at_named_points_ += stopped ? 1 : 0;
    }
    if (!stopped) {
      victim.signal(SIGSTOP);
      ASSERT_TRUE(victim.wait_stopped(60s));
    }
    // The fault itself: silence for one to three leases.
    std::this_thread::sleep_for(some(kLease * 12 / 10, kLease * 3));
    victim.signal(SIGCONT);
  }

  void restart_server(const char* signal) {
    std::this_thread::sleep_for(some(5ms, 200ms));  // at random
    database_->restart(signal);
  }

  std::vector<Fault> plan() {
    std::vector<Fault> plan;
    // Each producer fault takes a chunk of jobs of its own.
    const std::size_t by_producer = std::min(kills_ / 3, kChunks / 2);
    for (std::size_t i = 0; i < kills_; ++i) {
      const bool named = i % 2 == 0;
      if (i < by_producer) {
        plan.push_back(named ? Fault::kKillProducerAtPoint
                             : Fault::kKillProducerAtRandom);
      } else {
        plan.push_back(named ? Fault::kKillWorkerAtPoint : Fault::kKillWorkerAtRandom);
      }
    }
    for (std::size_t i = 0; i < stops_; ++i) {
      plan.push_back(i % 2 == 0 ? Fault::kStopWorkerAtPoint : Fault::kStopWorkerAtRandom);
    }
    for (std::size_t i = 0; i < restarts_; ++i) {
      plan.push_back(i % 2 == 0 ? Fault::kRestartServer : Fault::kKillServer);
    }
    std::shuffle(plan.begin(), plan.end(), random_);
    return plan;
  }

  void happen(Fault fault) {
    static const std::vector<std::string> kWorkerPoints = {
        "after_claim_commit", "before_finish_commit", "after_finish_commit_before_reply"};
    static const std::vector<std::string> kProducerPoints = {"before_insert_commit",
                                                             "after_insert_commit"};
    switch (fault) {
      case Fault::kKillWorkerAtPoint:
        return kill_worker(kWorkerPoints[pick(kWorkerPoints.size())]);
      case Fault::kKillWorkerAtRandom:
        return kill_worker({});
      case Fault::kKillProducerAtPoint:
        return kill_producer(kProducerPoints[pick(kProducerPoints.size())]);
      case Fault::kKillProducerAtRandom:
        return kill_producer({});
      case Fault::kStopWorkerAtPoint:
        return stop_worker("before_finish_commit");
      case Fault::kStopWorkerAtRandom:
        return stop_worker({});
      case Fault::kRestartServer:
        return restart_server("QUIT");  // at once, as after a crash
      case Fault::kKillServer:
        return restart_server("KILL");
    }
  }

  static std::uint64_t final_rows(Store& store) {
    const auto counts = store.monitor().counts();
    if (!counts) return 0;
    std::uint64_t n = 0;
    for (std::size_t s = 0; s < kStateCount; ++s) {
      if (is_final(static_cast<State>(s))) n += counts->total[s];
    }
    return n;
  }

  // A poll, which gives up when nothing has become final for a minute.
  void expect_all_final(Store& store) {
    std::uint64_t seen = 0;
    auto patience = std::chrono::steady_clock::now() + 60s;
    for (;;) {
      const std::uint64_t now = final_rows(store);
      if (now == jobs_) return;
      if (now > seen) patience = std::chrono::steady_clock::now() + 60s;
      seen = now;
      if (std::chrono::steady_clock::now() > patience) {
        ADD_FAILURE() << "the workers rest at " << now << " of " << jobs_ << " jobs";
        return;
      }
      std::this_thread::sleep_for(50ms);
    }
  }

  std::vector<conformance::Event> all_events() {
    std::vector<conformance::Event> all;
    for (const char* who : {"producer", "handler", "store"}) {
      auto events = or_die(conformance::read_events(place_.log(who)), "events");
      all.insert(all.end(), events.begin(), events.end());
    }
    return all;
  }

  const std::size_t jobs_;
  const std::size_t kills_;
  const std::size_t stops_;
  const std::size_t restarts_;
  const std::size_t seed_;
  std::mt19937 random_;
  const Folder folder_;
  const Place place_{folder_.path()};
  std::unique_ptr<Database> database_;
  std::vector<Child> workers_;
  std::optional<Child> producer_;
  std::vector<std::string> command_;  // of the producer, without its fault
  std::size_t next_chunk_ = 0;
  std::size_t at_named_points_ = 0;
};

TEST_P(KillTest, NothingIsLostAndNothingIsDoneTwice) {
  if (const std::string missing = GetParam()->kind.missing(); !missing.empty()) {
    GTEST_SKIP() << missing << " is not installed";
  }
  database_ = GetParam()->kind.start({.folder = place_.folder});
  std::ofstream(place_.folder / "store") << database_->url() << "\n";
  std::cout << "seed " << seed_ << "\n";
  for (std::size_t i = 0; i < kWorkers; ++i) workers_.push_back(worker());
  const std::vector<Fault> faults = plan();
  for (std::size_t i = 0; i < faults.size(); ++i) {
    // Jobs keep coming as long as faults do, so that each meets work under way. Chunks
    // that a producer's fault will take are left to it.
    const auto ahead = static_cast<std::size_t>(
        std::count_if(faults.begin() + static_cast<long>(i), faults.end(), [](Fault f) {
          return f == Fault::kKillProducerAtPoint || f == Fault::kKillProducerAtRandom;
        }));
    const std::size_t due = (i + 1) * kChunks / faults.size();
    if (next_chunk_ < due + 1 && next_chunk_ + ahead < kChunks) produce();
    ASSERT_NO_FATAL_FAILURE(happen(faults[i]));
  }
  while (next_chunk_ < kChunks) ASSERT_NO_FATAL_FAILURE(produce());
  ASSERT_NO_FATAL_FAILURE(finish_producer());

  auto store = or_die(open_store(place_.store()), "open");
  expect_all_final(*store);
  for (Child& w : workers_) {
    w.end_input();
    const auto status = w.wait_end(60s);
    ASSERT_TRUE(status && WIFEXITED(*status)) << "a worker does not stop";
    EXPECT_EQ(WEXITSTATUS(*status), 0);
  }

  const auto report = conformance::check(*store, all_events());
  ASSERT_TRUE(report) << report.error().message;
  std::cout << conformance::to_string(*report) << at_named_points_ << " of "
            << faults.size() << " faults at named points\n";
  EXPECT_TRUE(report->broken.empty());
  EXPECT_EQ(report->acknowledged, jobs_);
  EXPECT_EQ(report->rows, jobs_);
  EXPECT_EQ(report->completed, jobs_);
  if (stops_ > 0) {
    EXPECT_GT(report->stale_finishes, 0U)
        << "a worker that slept past its lease must see it";
  }
  if (!faults.empty()) {
    EXPECT_GT(report->repeated, 0U) << "the faults should have met runs under way";
    EXPECT_GT(at_named_points_, 0U);
  }
  store.reset();
  database_->expect_sound();
}

INSTANTIATE_TEST_SUITE_P(Stores, KillTest,
                         testing::Values(&kOnSqlite, &kOnPostgresql, &kOnMariadb),
                         [](const auto& store) { return store.param->kind.name; });

}  // namespace
}  // namespace carrel::fault
