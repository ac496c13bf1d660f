// A full disk, of SQLite and of servers. What is reported is stored, and when there is
// room again, all goes on by itself.
#include <carrel/conformance/checker.h>
#include <carrel/engine.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "crew.h"
#include "database.h"
#include "small_disk.h"
#include "work.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPatience = 60s;
constexpr Duration kLease = 1h;
// It fits into a page of InnoDB's: of one that does not, MariaDB 10.11 ends itself where
// the disk is full, as by a kill.
constexpr std::size_t kResult = 4'000;
constexpr std::string_view kWorker = "worker";

void start(Engine& engine) {
  const auto started = engine.start();
  ASSERT_TRUE(started) << started.error().message;
}

// Of each database, on a disk that it fills soon.
class DiskFull : public testing::TestWithParam<const DatabaseKind*> {
 protected:
  void SetUp() override {
    if (const std::string missing = GetParam()->missing(); !missing.empty()) {
      GTEST_SKIP() << missing << " is not installed";
    }
    std::string refused;
    disk_ = SmallDisk::make(GetParam()->small_disk, refused);
    if (!disk_) GTEST_SKIP() << refused;
    database_ = GetParam()->start({disk_->path(), disk_->path()});
  }

  std::unique_ptr<SmallDisk> disk_;
  std::unique_ptr<Database> database_;
};

// Text that no database can store in less.
std::string noise(std::size_t size) {
  static std::mt19937 random;
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

NewJob job() {
  NewJob job;
  job.kind = "work";
  job.payload = noise(2'000);
  return job;
}

// What the store said it has, by kind of answer.
struct Said {
  std::set<JobId> inserted;
  std::map<JobId, Lease> claimed;
  std::set<JobId> completed;
  std::size_t refused = 0;
};

// Enqueues, claims and finishes until each has been refused, or nothing is left to try.
void work_until_refused(Store& store, Said& said, std::size_t rounds) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < rounds; ++i) {
    const std::vector<NewJob> jobs(5, job());
    for (auto& answer : store.insert(jobs, kPatience)) {
      if (answer) {
        said.inserted.insert(answer->id);
      } else {
        EXPECT_EQ(answer.error().code, Code::kUnavailable) << answer.error().message;
        ++said.refused;
      }
    }
    const std::vector<std::string> kinds = {"work"};
    auto source = store.claim_source();
    auto runs = source->claim({{}, kinds, 5}, kWorker, ++number, kLease, 0us);
    if (!runs) {
      EXPECT_EQ(runs.error().code, Code::kUnavailable) << runs.error().message;
      ++said.refused;
    } else {
      for (const Claimed& run : *runs) said.claimed[run.lease.id] = run.lease;
    }
    std::vector<Finish> finishes;
    for (const auto& [id, lease] : said.claimed) {
      if (said.completed.contains(id)) continue;
      finishes.emplace_back();
      finishes.back().lease = lease;
      finishes.back().result = noise(kResult);
      if (finishes.size() == 5) break;
    }
    const auto answers = store.finish(finishes);
    for (std::size_t f = 0; f < answers.size(); ++f) {
      if (answers[f]) {
        EXPECT_NE(answers[f]->kind, Finished::Kind::kStale);
        said.completed.insert(finishes[f].lease.id);
      } else {
        EXPECT_EQ(answers[f].error().code, Code::kUnavailable)
            << answers[f].error().message;
        ++said.refused;
      }
    }
  }
}

// Through a store of its own, as another process would see it.
void expect_stored(Store& store, const Said& said) {
  for (JobId id : said.inserted) {
    const auto record = store.monitor().job(id);
    ASSERT_TRUE(record) << "job " << value(id) << " was acknowledged and is not there";
    if (said.completed.contains(id)) {
      EXPECT_EQ(record->state, State::kCompleted) << "job " << value(id);
      EXPECT_EQ(record->result.size(), kResult);
    } else if (const auto claim = said.claimed.find(id); claim != said.claimed.end()) {
      EXPECT_EQ(record->state, State::kRunning) << "job " << value(id);
      EXPECT_EQ(record->fence, claim->second.fence);
    }
  }
}

TEST_P(DiskFull, NothingIsReportedThatIsNotStored) {
  auto store = or_die(open_store(database_->url()), "open");
  Said said;
  work_until_refused(*store, said, 10);
  ASSERT_EQ(said.refused, 0U) << "there was room for that";
  ASSERT_FALSE(said.completed.empty());
  disk_->fill();
  work_until_refused(*store, said, 40);
  EXPECT_GT(said.refused, 0U) << "the disk should have been full";
  const std::size_t completed_when_full = said.completed.size();

  disk_->make_room();
  const std::size_t refused = said.refused;
  work_until_refused(*store, said, 10);
  EXPECT_EQ(said.refused, refused) << "the same store goes on by itself";
  EXPECT_GT(said.completed.size(), completed_when_full);
  expect_stored(*or_die(open_store(database_->url()), "open"), said);
}

TEST_P(DiskFull, AnEngineGoesOnWhenThereIsRoomAgain) {
  std::mutex mutex;
  std::map<JobId, int> runs;
  Config config;
  config.store = database_->url();
  config.worker.concurrency = 2;
  config.worker.lease = kLease;
  config.worker.beat = 50ms;
  config.worker.poll = 50ms;
  config.log.level = LogLevel::kOff;
  Engine engine = Engine::open(std::move(config), sql_registry()).value();
  engine.handle("work", [&](Context& job) {
    const std::lock_guard lock(mutex);
    ++runs[job.job().lease.id];
    return noise(kResult);
  });
  std::vector<JobId> ids;
  ids.reserve(40);
  for (int i = 0; i < 40; ++i) ids.push_back(engine.enqueue("work", i).value());
  disk_->fill();
  start(engine);
  // It says that it cannot store, and why.
  std::optional<std::string> complaint;
  while (!complaint) {
    const auto health = engine.health();
    if (health) complaint = health->store_error;
    std::this_thread::yield();
  }
  EXPECT_FALSE(complaint->empty());
  disk_->make_room();
  for (JobId id : ids) {
    const auto result = engine.wait(id, kPatience);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->get<std::string>().size(), kResult);
  }
  engine.stop(10s);
  for (JobId id : ids) {
    EXPECT_EQ(runs[id], 1) << "job " << value(id)
                           << ": a kept result is not computed again";
  }
}

template <class Done>
void until(Done done) {
  for (const auto end = std::chrono::steady_clock::now() + kPatience; !done();) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << "it does not happen";
    std::this_thread::sleep_for(5ms);
  }
}

TEST_P(DiskFull, NothingIsLostAndNothingIsDoneTwice) {
  std::optional<Crew> crew(database_->url());
  const auto ask = [&] { return crew->ask(noise(2'000)); };
  for (int i = 0; i < 30; ++i) ASSERT_EQ(ask(), 0U) << "there was room for that";
  ASSERT_NO_FATAL_FAILURE(until([&] {  // runs are under way
    ask();
    return crew->some_run();
  }));
  disk_->fill();
  std::size_t refused = 0;
  // The fault itself, for longer than a lease: not all can be renewed.
  const auto end = std::chrono::steady_clock::now() + Crew::kLease * 3 / 2;
  while (std::chrono::steady_clock::now() < end) {
    refused = ask();
    std::this_thread::sleep_for(50ms);
  }
  EXPECT_GT(refused, 0U) << "the disk should have been full";
  disk_->make_room();
  ASSERT_NO_FATAL_FAILURE(until([&] { return crew->ask_again() == 0; }));
  for (int i = 0; i < 30; ++i) EXPECT_EQ(ask(), 0U) << "the same store goes on by itself";
  ASSERT_NO_FATAL_FAILURE(until([&] { return crew->all_are_final(); }));
  const conformance::CheckReport report = crew->check();
  std::cout << conformance::to_string(report);
  EXPECT_THAT(report.broken, testing::IsEmpty());
  EXPECT_EQ(report.acknowledged, crew->asked());
  EXPECT_EQ(report.completed, crew->asked());
  crew.reset();
  EXPECT_THAT(database_->unsound(), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Stores, DiskFull,
                         testing::Values(&kSqlite, &kPostgresql, &kMariadb),
                         [](const auto& kind) { return kind.param->name; });

}  // namespace
}  // namespace carrel::fault
