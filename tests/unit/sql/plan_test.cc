// The plans: nothing that a worker does may read a whole table or sort.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <limits>
#include <string>

#include "sqlite/statements.h"
#include "sqlite_files.h"

namespace carrel::test {
namespace {

namespace statements = carrel::sql::sqlite::statements;

// Every line of EXPLAIN QUERY PLAN.
std::string plan_of(const std::string& file, const char* statement) {
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
  sqlite3_stmt* explain = nullptr;
  const std::string sql = std::string("EXPLAIN QUERY PLAN ") + statement;
  EXPECT_EQ(sqlite3_prepare_v2(db, sql.c_str(), -1, &explain, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db) << sql;
  std::string plan;
  while (sqlite3_step(explain) == SQLITE_ROW) {
    plan += reinterpret_cast<const char*>(sqlite3_column_text(explain, 3));
    plan += '\n';
  }
  sqlite3_finalize(explain);
  sqlite3_close(db);
  return plan;
}

class SqlitePlan : public testing::Test {
 protected:
  void SetUp() override {
    auto store = open_url(file_);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    insert_jobs(**store, 100);
  }
  void expect_seeks(const char* statement) {
    const std::string plan = plan_of(file_, statement);
    EXPECT_FALSE(plan.empty());
    EXPECT_EQ(plan.find("SCAN carrel_jobs"), std::string::npos) << statement << plan;
    EXPECT_EQ(plan.find("SCAN carrel_attempts"), std::string::npos) << statement << plan;
    EXPECT_EQ(plan.find("SCAN carrel_limits\n"), std::string::npos) << statement << plan;
    EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos) << statement << plan;
  }
  void expect_index(const char* statement, const char* index) {
    expect_seeks(statement);
    const std::string plan = plan_of(file_, statement);
    EXPECT_NE(plan.find(index), std::string::npos) << statement << plan;
  }

  TemporaryDirectory place_;
  std::string file_ = place_.file("jobs.db");
};

TEST_F(SqlitePlan, AClaimSeeksInTheIndexOfAvailableJobs) {
  expect_index(statements::kNextQueue, "COVERING INDEX carrel_jobs_available");
  expect_index(statements::kNextKind, "COVERING INDEX carrel_jobs_available");
  expect_index(statements::kBestOfLane, "INDEX carrel_jobs_available");
  expect_index(statements::kPickLane, "INDEX carrel_jobs_available");
  expect_index(statements::kPickLimitedLane, "INDEX carrel_jobs_available");
  expect_index(statements::kPickLimitedLane, "COVERING INDEX carrel_limits_line");
  expect_index(statements::kPickIds, "INTEGER PRIMARY KEY");
  expect_index(statements::kMark, "INTEGER PRIMARY KEY");
}

TEST_F(SqlitePlan, WhatRunsIsCountedByTheIndexOfTimes) {
  expect_index(statements::kCountRunningOfQueue, "INDEX carrel_jobs_wake (state=?");
}

TEST_F(SqlitePlan, RowsAreFoundByTheirIds) {
  for (const char* statement :
       {statements::kLoadRows, statements::kSaveRow, statements::kSaveFinished,
        statements::kRenewLeases, statements::kNotFinal, statements::kDeleteJobs,
        statements::kReadJob}) {
    expect_index(statement, "INTEGER PRIMARY KEY");
  }
  expect_index(statements::kFindRequest, "INDEX carrel_jobs_request");
  expect_seeks(statements::kReadAttempts);
  expect_seeks(statements::kDeleteAttempts);
}

TEST_F(SqlitePlan, TheSweepSeeksInTheIndexOfTimes) {
  expect_index(statements::kDueRows, "INDEX carrel_jobs_wake");
  expect_index(statements::kNextWake, "COVERING INDEX carrel_jobs_wake");
  expect_index(statements::kOldestFinal, "INDEX carrel_jobs_wake");
  expect_index(statements::kRunningOfWorker, "INDEX carrel_jobs_wake");
}

// A page of a state that many are in: their rows are sorted by what the index says.
TEST_F(SqlitePlan, AListOfOneStateReadsOnlyTheIndex) {
  run_sql(file_, "UPDATE carrel_jobs SET state = 7, wake_at = 1 + id * 37 % 101");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file_.c_str(), &db), SQLITE_OK);
  sqlite3_stmt* list = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(db, statements::kListFewJobs, -1, &list, nullptr),
            SQLITE_OK);
  const auto bind = [&](const char* name, long long value) {
    sqlite3_bind_int64(list, sqlite3_bind_parameter_index(list, name), value);
  };
  constexpr long long kNone = std::numeric_limits<long long>::max();
  bind(":before", kNone);
  bind(":states", 1LL << 7);
  bind(":enqueued_before", kNone);
  bind(":most", 10);
  for (const char* name : {":queue", ":kind"}) {
    sqlite3_bind_text(list, sqlite3_bind_parameter_index(list, name), "", 0,
                      SQLITE_STATIC);
  }
  int pages = 0;
  int most = 0;
  sqlite3_step(list);  // which reads the schema, too
  sqlite3_reset(list);
  sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_HIT, &pages, &most, 1);
  int rows = 0;
  while (sqlite3_step(list) == SQLITE_ROW) ++rows;
  sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_HIT, &pages, &most, 0);
  sqlite3_finalize(list);
  sqlite3_close(db);
  EXPECT_EQ(rows, 10);
  EXPECT_LT(pages, 50) << "for 100 rows, which lie in another order";
}

// Of more than are sorted for a page: among the next rows, and where none of those is in
// that state.
TEST_F(SqlitePlan, APageOfAStateThatVeryManyAreInIsFoundNearAndFar) {
  expect_index(statements::kFewAreMany, "COVERING INDEX carrel_jobs_wake");
  expect_index(statements::kListNearJobs, "INTEGER PRIMARY KEY");
  auto store = open_url(file_).value();
  insert_jobs(*store, 60'000 - 100);
  const auto page = [&] {
    const auto records = store->monitor().list({.states = {State::kCancelled}}, {}, 2);
    EXPECT_TRUE(records) << records.error().message;
    std::vector<std::uint64_t> ids;
    for (const JobRecord& record : *records) ids.push_back(value(record.id));
    return ids;
  };
  run_sql(file_,
          "UPDATE carrel_jobs SET state = 5 + id % 2, wake_at = 1 + id * 37 % 101");
  run_sql(file_, "UPDATE carrel_jobs SET wake_at = NULL WHERE id = 59999");
  EXPECT_EQ(page(), (std::vector<std::uint64_t>{59'999, 59'997})) << "no index has it";
  run_sql(file_, "UPDATE carrel_jobs SET state = 5 WHERE id > 45000");
  EXPECT_EQ(page(), (std::vector<std::uint64_t>{44'999, 44'997}));
}

// However many jobs a key holds back.
TEST_F(SqlitePlan, LimitsSeekInTheLineOfTheirKey) {
  for (const char* statement :
       {statements::kLookAtLine, statements::kCountAvailableOfKey,
        statements::kNextPriorityOfKey, statements::kNextKindOfKey,
        statements::kNextQueueOfKey, statements::kPendingOfKey}) {
    expect_index(statement, "COVERING INDEX carrel_limits_line");
  }
  expect_index(statements::kUnreserve, "INDEX carrel_limits_line (key=? AND state=?)");
  expect_index(statements::kCountRunningOfKeys, "COVERING INDEX carrel_limits_line");
  for (const char* statement :
       {statements::kFindLimited, statements::kFindAvailableLimited,
        statements::kCountRunningOfKeys, statements::kStartLimited,
        statements::kSetLimited, statements::kDeleteLimits, statements::kReadLimit}) {
    expect_index(statement, "INTEGER PRIMARY KEY");
  }
}

// However many have ended, or wait.
TEST_F(SqlitePlan, WhetherAnyIsAvailableThatHasALimitIsOneSeekEach) {
  expect_index(statements::kAnyAvailableLimited, "INDEX carrel_limits_available");
  expect_index(statements::kAnyAvailableLimited, "INDEX carrel_rates_available");
}

// However many jobs wait for the windows of theirs, and however many began.
TEST_F(SqlitePlan, RatesSeekInTheLineOfTheirKey) {
  for (const char* statement : {statements::kCountAvailableOfRate,
                                statements::kNextLaneOfRate, statements::kAnyOfRate}) {
    expect_index(statement, "COVERING INDEX carrel_rates_line");
  }
  expect_index(statements::kWaitingOfRate, "INDEX carrel_rates_line");
  for (const char* statement :
       {statements::kFindRated, statements::kFindAvailableRated, statements::kSetRated,
        statements::kDropRated, statements::kDeleteRates, statements::kReadRate}) {
    expect_index(statement, "INTEGER PRIMARY KEY");
  }
  for (const char* statement :
       {statements::kCountStarts, statements::kNewestStart, statements::kForgetStarts,
        statements::kAnyStart, statements::kPeriodOfRate}) {
    expect_index(statement, "USING PRIMARY KEY (key");
  }
  expect_index(statements::kTakeStartBack,
               "USING PRIMARY KEY (key=? AND at=? AND job=? AND fence=?)");
  expect_index(statements::kDueRates, "INDEX carrel_rate_keys_wake");
  expect_index(statements::kNextRate, "INDEX carrel_rate_keys_wake");
}

TEST_F(SqlitePlan, UniqueKeysAreSought) {
  expect_index(statements::kFindUnique, "SEARCH u USING PRIMARY KEY");
  expect_index(statements::kReadUnique, "INDEX carrel_unique_job");
  expect_index(statements::kLeaveUnique, "INDEX carrel_unique_job");
  expect_index(statements::kDeleteUnique, "INDEX carrel_unique_job");
  expect_index(statements::kForgetUnique, "INDEX carrel_unique_left");
  expect_index(statements::kNextUnique, "INDEX carrel_unique_left");
}

TEST_F(SqlitePlan, APlanThatScansIsSeen) {
  const std::string plan = plan_of(file_, "SELECT id FROM carrel_jobs ORDER BY kind");
  EXPECT_NE(plan.find("SCAN carrel_jobs"), std::string::npos) << plan;
  EXPECT_NE(plan.find("TEMP B-TREE"), std::string::npos) << plan;
}

}  // namespace
}  // namespace carrel::test
