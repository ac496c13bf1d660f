// What SOCI 4.0.3 and SQLite are known to do wrong or surprisingly, one test each: the
// rule that avoids it, seen from outside. backends/sql/README.md lists them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "sqlite_files.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class SqliteTrap : public testing::Test {
 protected:
  void SetUp() override { open(""); }
  void open(const std::string& query) {
    store_.reset();
    auto store = open_url(file_ + query);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    store_ = std::move(*store);
  }
  std::vector<Claimed> claim(std::size_t max) {
    auto runs =
        store_->claim_source()->claim({{}, kWork, max}, "worker", ++claims_, 30s, 0us);
    EXPECT_TRUE(runs.has_value()) << runs.error().message;
    return runs ? std::move(*runs) : std::vector<Claimed>{};
  }
  std::vector<Finish> finishes(const std::vector<Claimed>& runs) {
    std::vector<Finish> all;
    for (const Claimed& run : runs) {
      Finish& finish = all.emplace_back();
      finish.lease = run.lease;
      finish.result = "\"done\"";
      finish.attempt = Attempt{};
    }
    return all;
  }
  // Another program can write, at once.
  void expect_not_locked(const char* after) {
    EXPECT_NO_THROW(run_sql(file_, "PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; ROLLBACK"))
        << "the write lock is kept after " << after;
  }
  // Nothing holds the log: a checkpoint gets to its end.
  void expect_no_snapshot(const char* after) {
    EXPECT_THAT(
        run_sql(file_, "PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)"),
        ElementsAre("0", "0"))
        << "a snapshot is kept after " << after;
  }

  TemporaryDirectory place_;
  std::string file_ = place_.file("jobs.db");
  std::unique_ptr<Store> store_;
  std::uint64_t claims_ = 0;
};

// Vectors from INTEGER columns are cut to 32 bits.
TEST_F(SqliteTrap, IdsAndFencesAbove32Bits) {
  const std::uint64_t big = (1ULL << 53) + 3;
  run_sql(file_, "INSERT INTO sqlite_sequence VALUES ('carrel_jobs', " +
                     std::to_string(big - 1) + ")");
  const auto ids = insert_jobs(*store_, 3);
  EXPECT_EQ(value(ids[0]), big);
  run_sql(file_, "UPDATE carrel_jobs SET fence = 5000000000");
  EXPECT_THAT(store_->peek({{}, kWork, 9}).value(), SizeIs(3));
  const auto runs = claim(9);
  ASSERT_THAT(runs, SizeIs(3));
  EXPECT_EQ(runs[2].lease.id, ids[2]);
  EXPECT_EQ(value(runs[2].lease.fence), 5'000'000'001ULL);
  std::vector<Beat> beats;
  for (const Claimed& run : runs) beats.emplace_back().lease = run.lease;
  EXPECT_THAT(store_->beat("worker", claims_, beats, true, 30s).value(),
              testing::Each(Pulse::kAlive));
  for (auto& answer : store_->finish(finishes(runs))) {
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->kind, Finished::Kind::kApplied);
  }
  const JobRecord record = store_->monitor().job(ids[1]).value();
  EXPECT_EQ(record.id, ids[1]);
  ASSERT_THAT(record.attempts, SizeIs(1));
  EXPECT_EQ(value(record.attempts[0].fence), 5'000'000'001ULL);
  EXPECT_EQ(store_->monitor().list({}, ids[2], 9).value().front().id, ids[1]);
}

// Plain rowids are used again, so that an old (id, fence) would match a new job.
TEST_F(SqliteTrap, AnIdIsNeverUsedAgain) {
  const auto first = insert_jobs(*store_, 3);
  run_sql(file_, "DELETE FROM carrel_jobs");
  open("");
  EXPECT_GT(value(insert_jobs(*store_, 1)[0]), value(first.back()));
}

// A string that is bound is TEXT, and much of SQLite ends TEXT at a NUL.
TEST_F(SqliteTrap, BytesAreStoredAsBlobsInTheirFullLength) {
  const std::string odd("a\0\xff\xc3\0", 5);
  for (const std::size_t size :
       {std::size_t{5}, std::size_t{1024}, std::size_t{1025}, std::size_t{70'000}}) {
    std::string payload = odd;
    payload.resize(size, '\0');
    const JobId id = insert_jobs(*store_, 1, payload)[0];
    const auto runs = claim(1);
    ASSERT_THAT(runs, SizeIs(1));
    EXPECT_TRUE(runs[0].payload == payload) << size;
    Finish finish = finishes(runs)[0];
    finish.result = payload;
    finish.checkpoint = payload;
    ASSERT_TRUE(store_->finish({&finish, 1})[0].has_value());
    const JobRecord record = store_->monitor().job(id).value();
    EXPECT_TRUE(record.payload == payload && record.result == payload &&
                record.checkpoint == payload)
        << size;
  }
  EXPECT_THAT(run_sql(file_,
                      "SELECT DISTINCT typeof(result) FROM carrel_jobs UNION "
                      "SELECT DISTINCT typeof(payload) FROM carrel_jobs "
                      "WHERE payload IS NOT NULL UNION "
                      "SELECT DISTINCT typeof(bytes) FROM carrel_payloads UNION "
                      "SELECT DISTINCT typeof(checkpoint) FROM carrel_notes"),
              ElementsAre("blob"));
  EXPECT_THAT(run_sql(file_, "SELECT length(bytes) FROM carrel_payloads"),
              ElementsAre("1025", "70000"));
}

// A cached UPDATE … RETURNING that is not read to its end keeps the write lock: into
// scalars, and into vectors of just as many elements as there are rows.
TEST_F(SqliteTrap, AClaimLeavesNoWriteLock) {
  insert_jobs(*store_, 5);
  EXPECT_THAT(claim(1), SizeIs(1));
  expect_not_locked("a claim of one");
  EXPECT_THAT(claim(4), SizeIs(4));
  expect_not_locked("a claim of just what there was");
  EXPECT_THAT(claim(3), IsEmpty());
  expect_not_locked("a claim of nothing");
}

// A cached SELECT that is left in the middle holds its snapshot, and with it the log.
TEST_F(SqliteTrap, ReadsLeaveNoSnapshot) {
  const auto ids = insert_jobs(*store_, 20);
  expect_no_snapshot("an insert");
  ASSERT_TRUE(store_->peek({{}, kWork, 3}).has_value());
  insert_jobs(*store_, 1);
  expect_no_snapshot("a peek");
  ASSERT_TRUE(store_->monitor().job(ids[3]).has_value());
  insert_jobs(*store_, 1);
  expect_no_snapshot("job()");
  ASSERT_TRUE(store_->monitor().list({}, JobId{0}, 5).has_value());
  ASSERT_TRUE(store_->monitor().counts().has_value());
  ASSERT_TRUE(store_->monitor().paused().has_value());
  insert_jobs(*store_, 1);
  expect_no_snapshot("list(), counts() and paused()");
  ASSERT_TRUE(store_->await_final(ids, 1ms).has_value());
  ASSERT_TRUE(store_->sweep(10).has_value());
  insert_jobs(*store_, 1);
  expect_no_snapshot("await_final() and sweep()");
  EXPECT_THAT(claim(2), SizeIs(2));
  expect_no_snapshot("a claim");
}

// SQLITE_BUSY has the category "unknown" in SOCI, and its time-out is 0 by default.
TEST_F(SqliteTrap, ABusyFileIsUnavailableAfterTheTimeOutAndThenWorks) {
  open("?busy_timeout=50ms");
  const NewJob job = work();
  // A program that does not know the gate.
  {
    struct Foreign {
      explicit Foreign(const std::string& file) : fd(::open(file.c_str(), O_RDWR)) {}
      ~Foreign() { ::close(fd); }
      int fd;
    };
    const Foreign gate(file_ + "-gate");
    ASSERT_EQ(::flock(gate.fd, LOCK_EX), 0);
    const auto refused = store_->insert({&job, 1}, 10s);
    ASSERT_FALSE(refused[0].has_value());
    EXPECT_EQ(refused[0].error().code, Code::kUnavailable);
    EXPECT_THAT(refused[0].error().message, HasSubstr("busy_timeout"));
    // Reads go on beside a writer.
    EXPECT_TRUE(store_->monitor().counts().has_value());
  }
  const auto stored = store_->insert({&job, 1}, 10s);
  ASSERT_TRUE(stored[0].has_value()) << stored[0].error().message;
  EXPECT_THAT(store_->peek({{}, kWork, 9}).value(), SizeIs(1))
      << "what was refused is not stored";
}

TEST_F(SqliteTrap, AnInsertGivesUpAtItsDeadlineAndStoresNothing) {
  const int gate = ::open((file_ + "-gate").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(gate, LOCK_EX), 0);
  const NewJob job = work();
  const auto late = store_->insert({&job, 1}, 20ms);
  ::close(gate);
  ASSERT_FALSE(late[0].has_value());
  EXPECT_EQ(late[0].error().code, Code::kUnavailable);
  insert_jobs(*store_, 1);
  EXPECT_THAT(store_->peek({{}, kWork, 9}).value(), SizeIs(1));
}

// SOCI adds the statement and its parameters to the message of an error.
TEST_F(SqliteTrap, AnErrorDoesNotTellThePayload) {
  run_sql(file_, "DROP TABLE carrel_jobs");
  const NewJob job = work("my secret");
  const auto refused = store_->insert({&job, 1}, 10s);
  ASSERT_FALSE(refused[0].has_value());
  EXPECT_THAT(refused[0].error().message, HasSubstr(file_));
  EXPECT_THAT(refused[0].error().message, testing::Not(HasSubstr("secret")));
  EXPECT_THAT(refused[0].error().message, testing::Not(HasSubstr("INSERT")));
}

// What it says of itself agrees with the rows, whatever was done to them.
TEST_F(SqliteTrap, TheTallyIsTheRows) {
  const auto ids = insert_jobs(*store_, 40);
  store_->finish(finishes(claim(15)));
  ASSERT_TRUE(store_->cancel(std::vector(ids.end() - 7, ids.end())).has_value());
  store_->retry(std::vector{ids[0], ids[1], ids[39]});
  auto again = finishes(claim(3));
  for (Finish& finish : again) finish.verdict = Verdict::kDiscarded;
  store_->finish(again);
  run_sql(file_, "UPDATE carrel_jobs SET wake_at = 1 WHERE id = " +
                     std::to_string(value(ids[5])));
  EXPECT_EQ(store_->sweep(100).value().purged, 1U);
  EXPECT_EQ(run_sql(file_,
                    "SELECT queue || state || ' ' || count(*) FROM carrel_jobs "
                    "WHERE state >= 5 GROUP BY queue, state"),
            run_sql(file_,
                    "SELECT queue || state || ' ' || jobs FROM carrel_tally "
                    "WHERE jobs != 0 ORDER BY queue, state"));
  const Counts counts = store_->monitor().counts().value();
  EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kCompleted)], 12U);
  EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kDiscarded)], 3U);
  EXPECT_THAT(run_sql(file_, "PRAGMA integrity_check"), ElementsAre("ok"));
}

}  // namespace
}  // namespace carrel::test
