// SQLite: what a transaction brings is claimed in it, for a claim that waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <vector>

#include "sqlite_files.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

constexpr int kTries = 50;  // a claim that is to wait may still be looking

// How many transactions the write-ahead log holds: frames that say how long the file is
// by then (sqlite.org/fileformat2.html, "The Write-Ahead Log").
int commits(const std::string& file) {
  std::ifstream log(file + "-wal", std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(log), {});
  constexpr std::size_t kHeader = 32;
  constexpr std::size_t kFrame = 24 + 4096;
  int count = 0;
  for (std::size_t at = kHeader; at + kFrame <= bytes.size(); at += kFrame) {
    const bool current = std::memcmp(&bytes[at + 8], &bytes[16], 8) == 0;  // salts
    const bool commit = bytes.compare(at + 4, 4, std::string(4, '\0')) != 0;
    count += current && commit ? 1 : 0;
  }
  return count;
}

class SqliteStart : public testing::Test {
 protected:
  using Answer = Result<std::vector<Claimed>>;

  // On a thread of its own, given some time to get to where it waits.
  std::future<Answer> wait_for_work(std::size_t max = 1) {
    auto answer = std::async(std::launch::async, [this, max] {
      return source_->claim({{}, kWork, max}, "waits", ++claims_, 30s, 1h);
    });
    answer.wait_for(5ms);
    return answer;
  }
  void refuse_starts() {
    run_sql(file_,
            "CREATE TRIGGER no_start BEFORE UPDATE ON carrel_jobs WHEN NEW.state = 3"
            " BEGIN SELECT RAISE(ABORT, 'not today'); END");
  }
  Inserted insert(const NewJob& job) {
    return std::move(store_->insert({&job, 1}, 60s).at(0)).value();
  }
  JobRecord record(JobId id) { return store_->monitor().job(id).value(); }
  Finished finish(const Claimed& run) {
    Finish end;
    end.lease = run.lease;
    return store_->finish({&end, 1}).at(0).value();
  }

  const TemporaryDirectory place_;
  const std::string file_ = place_.file("jobs.db");
  const std::unique_ptr<Store> store_ = open_url(file_).value();
  const std::unique_ptr<ClaimSource> source_ = store_->claim_source();
  std::uint64_t claims_ = 0;
};

TEST_F(SqliteStart, AJobStartsInTheTransactionThatBringsIt) {
  bool at_once = false;
  for (int i = 0; i < kTries && !at_once; ++i) {
    auto answer = wait_for_work();
    const int before = commits(file_);
    const JobId id = insert(work()).id;
    const auto runs = answer.get().value();
    at_once = commits(file_) - before == 1;
    ASSERT_THAT(runs, SizeIs(1));
    ASSERT_EQ(runs[0].lease.id, id);
    EXPECT_EQ(finish(runs[0]).kind, Finished::Kind::kApplied);
  }
  EXPECT_TRUE(at_once);
}

// By their key one waits for the other.
TEST_F(SqliteStart, TheEndOfAJobStartsTheNextOfItsKey) {
  NewJob keyed = work();
  keyed.limit = Limit{"key", 1};
  bool at_once = false;
  for (int i = 0; i < kTries && !at_once; ++i) {
    const JobId first = insert(keyed).id;
    const JobId second = insert(keyed).id;
    const auto run = wait_for_work().get().value();
    ASSERT_THAT(run, SizeIs(1));
    ASSERT_EQ(run[0].lease.id, first);
    auto answer = wait_for_work();
    const int before = commits(file_);
    ASSERT_EQ(finish(run[0]).kind, Finished::Kind::kApplied);
    const auto next = answer.get().value();
    at_once = commits(file_) - before == 1;
    ASSERT_THAT(next, SizeIs(1));
    ASSERT_EQ(next[0].lease.id, second);
    finish(next[0]);
  }
  EXPECT_TRUE(at_once);
}

// Whoever brings many is not to wait until they are claimed.
TEST_F(SqliteStart, ManyJobsAreClaimedAfterTheyWereBrought) {
  for (int i = 0; i < 10; ++i) {
    auto answer = wait_for_work(100);
    const int before = commits(file_);
    insert_jobs(*store_, 100);
    const auto runs = answer.get().value();
    EXPECT_EQ(commits(file_) - before, 2);
    ASSERT_THAT(runs, SizeIs(100));
    for (const Claimed& run : runs) finish(run);
  }
}

TEST_F(SqliteStart, WhereAJobCannotStartItIsBroughtAllTheSame) {
  refuse_starts();
  for (int i = 0; i < 5; ++i) {
    auto answer = wait_for_work();
    const JobId id = insert(work()).id;
    const auto runs = answer.get();
    ASSERT_FALSE(runs);
    EXPECT_THAT(runs.error().message, HasSubstr("not today"));
    EXPECT_EQ(record(id).state, State::kAvailable);
    run_sql(file_, "DELETE FROM carrel_jobs");
  }
  run_sql(file_, "DROP TRIGGER no_start");
  auto answer = wait_for_work();
  const JobId id = insert(work()).id;
  EXPECT_EQ(answer.get().value().at(0).lease.id, id);
}

// It takes one claim down, and not one after the other until it is given up.
TEST_F(SqliteStart, AJobThatCannotStartIsBroughtHoweverManyWait) {
  refuse_starts();
  constexpr std::size_t kWaiting = 30;  // more than a transaction is done again
  std::vector<std::unique_ptr<ClaimSource>> sources;
  std::vector<std::future<Answer>> answers;
  for (std::size_t i = 0; i < kWaiting; ++i) {
    sources.push_back(store_->claim_source());
    answers.push_back(std::async(
        std::launch::async, [this, number = ++claims_, &source = *sources.back()] {
          return source.claim({{}, kWork, 1}, "waits", number, 30s, 1h);
        }));
  }
  answers.back().wait_for(50ms);
  const NewJob job = work();
  const auto inserted = store_->insert({&job, 1}, 60s);
  ASSERT_TRUE(inserted.at(0)) << inserted.at(0).error().message;
  EXPECT_EQ(record(inserted[0]->id).state, State::kAvailable);
  for (auto& source : sources) source->interrupt();
  int failed = 0;
  for (auto& answer : answers) failed += answer.get() ? 0 : 1;
  EXPECT_GE(failed, 1);
}

}  // namespace
}  // namespace carrel::test
