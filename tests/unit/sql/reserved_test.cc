// Places in limits that are reserved (sqlite/limits.h): SQLite's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "sqlite_files.h"

namespace carrel::test {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// What carrel_jobs and carrel_limits say of a job, and whether it has a place.
constexpr const char* kReserved = "2 3 1";
constexpr const char* kAsks = "2 2 0";
constexpr const char* kPending = "0 0 0";
constexpr const char* kRuns = "3 3 0";
constexpr const char* kRunsWhereItHadOne = "3 3 1";

class SqliteReserved : public testing::Test {
 protected:
  void SetUp() override {
    auto store = open_url(file_);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    store_ = std::move(*store);
  }
  static NewJob limited(std::uint32_t running, std::string queue = "default",
                        std::string key = "key") {
    NewJob one = work();
    one.queue = std::move(queue);
    one.limit = Limit{std::move(key), running};
    return one;
  }
  std::vector<JobId> insert(const std::vector<NewJob>& jobs) {
    std::vector<JobId> ids;
    for (auto& answer : store_->insert(jobs, 60s)) {
      EXPECT_TRUE(answer.has_value()) << answer.error().message;
      ids.push_back(answer.value().id);
    }
    return ids;
  }
  JobId insert(const NewJob& job) { return insert(std::vector<NewJob>{job})[0]; }
  std::string stands(JobId id) const {
    const auto cells = run_sql(
        file_,
        "SELECT j.state || ' ' || coalesce(l.state, '-') || ' ' || l.reserved"
        "  FROM carrel_jobs AS j JOIN carrel_limits AS l ON l.job = j.id WHERE j.id = " +
            std::to_string(value(id)));
    return cells.empty() ? "" : cells[0];
  }
  std::vector<JobId> claim_from(const std::vector<std::string>& queues,
                                std::size_t max = 10) {
    auto runs = store_->claim_source()->claim({queues, kWork, max}, "w", ++claims_, 30s,
                                              Duration{0});
    EXPECT_TRUE(runs.has_value()) << runs.error().message;
    std::vector<JobId> ids;
    for (Claimed& run : *runs) {
      ids.push_back(run.lease.id);
      runs_.push_back(std::move(run));
    }
    return ids;
  }
  std::vector<JobId> claim_all() { return claim_from({}); }
  void finish(JobId id) {
    const auto run = std::find_if(runs_.rbegin(), runs_.rend(),
                                  [&](const auto& one) { return one.lease.id == id; });
    ASSERT_NE(run, runs_.rend());
    Finish done;
    done.lease = run->lease;
    done.attempt = Attempt{};
    const auto answers = store_->finish({&done, 1});
    ASSERT_TRUE(answers[0].has_value()) << answers[0].error().message;
    EXPECT_EQ(answers[0]->kind, Finished::Kind::kApplied);
  }

  TemporaryDirectory place_;
  std::string file_ = place_.file("jobs.db");
  std::unique_ptr<Store> store_;
  std::uint64_t claims_ = 0;
  std::vector<Claimed> runs_;
};

TEST_F(SqliteReserved, PlacesAreThoseOfAllThatMayRunBesideWhatRuns) {
  const auto ids = insert({limited(2), limited(2), limited(2), limited(2)});
  EXPECT_EQ(stands(ids[0]), kReserved);
  EXPECT_EQ(stands(ids[1]), kReserved);
  EXPECT_EQ(stands(ids[2]), kPending);
  EXPECT_THAT(claim_all(), ElementsAre(ids[0], ids[1]));
  EXPECT_EQ(stands(ids[0]), kRunsWhereItHadOne) << "the claim wrote nothing there";
  finish(ids[1]);
  EXPECT_EQ(stands(ids[2]), kReserved);
  EXPECT_EQ(stands(ids[3]), kPending);
  EXPECT_THAT(claim_all(), ElementsAre(ids[2]));
  finish(ids[0]);
  finish(ids[2]);
  const JobId next = insert(limited(2));
  EXPECT_EQ(stands(next), kReserved) << "beside one that waits for its claim";
  EXPECT_THAT(claim_all(), ElementsAre(ids[3], next));
}

TEST_F(SqliteReserved, AnEndLetsGoWhatItsOwnLimitLetsRunBesideTheOthers) {
  const JobId strict = insert(limited(1));
  EXPECT_THAT(claim_all(), ElementsAre(strict));
  std::vector<NewJob> waiting(20, limited(1));
  waiting.insert(waiting.end(), 3, limited(3));
  const auto ids = insert(waiting);
  EXPECT_EQ(stands(ids[20]), kReserved) << "beside the first, which runs";
  EXPECT_EQ(stands(ids[21]), kReserved);
  EXPECT_EQ(stands(ids[22]), kPending);
  EXPECT_THAT(claim_all(), ElementsAre(ids[20], ids[21]));
  finish(strict);
  EXPECT_EQ(stands(ids[22]), kReserved) << "behind twenty that may not";
  EXPECT_EQ(stands(ids[0]), kPending);
}

// Each may run alone, and it is for claims to say which.
TEST_F(SqliteReserved, LanesThatWouldBeTooManyTogetherHaveNone) {
  const auto ids = insert({limited(1, "one"), limited(1, "other")});
  EXPECT_EQ(stands(ids[0]), kAsks) << "what it had is given up";
  EXPECT_EQ(stands(ids[1]), kAsks);
  EXPECT_THAT(claim_from({"other"}), ElementsAre(ids[1]));
  EXPECT_EQ(stands(ids[1]), kRuns);
  EXPECT_THAT(claim_from({"one"}), IsEmpty());
  EXPECT_EQ(stands(ids[0]), kPending);
  finish(ids[1]);
  EXPECT_EQ(stands(ids[0]), kReserved) << "alone now";
  EXPECT_THAT(claim_from({"one"}), ElementsAre(ids[0]));
}

// In lanes of two priorities: the better is claimed first, whichever came first.
TEST_F(SqliteReserved, ABetterOneThatComesLaterIsFirst) {
  const JobId first = insert(limited(1));
  NewJob urgent = limited(1);
  urgent.priority = -5;
  const JobId second = insert(urgent);
  EXPECT_THAT(claim_all(), ElementsAre(second));
  finish(second);
  EXPECT_THAT(claim_all(), ElementsAre(first));
}

TEST_F(SqliteReserved, WhatRunsInAnotherLaneCountsAndKeepsNobodyFromAPlace) {
  const JobId runs = insert(limited(2, "one"));
  EXPECT_THAT(claim_all(), ElementsAre(runs));
  const auto others = insert({limited(2, "other"), limited(2, "other")});
  EXPECT_EQ(stands(runs), kRuns);
  EXPECT_EQ(stands(others[0]), kReserved);
  EXPECT_EQ(stands(others[1]), kPending);
  EXPECT_THAT(claim_all(), ElementsAre(others[0]));
  finish(runs);
  EXPECT_THAT(claim_all(), ElementsAre(others[1]));
}

// Nobody works on its queue, or its queue is paused: the other does not wait for it.
TEST_F(SqliteReserved, AnotherLaneMayHaveThePlace) {
  const JobId idle = insert(limited(1, "idle"));
  ASSERT_TRUE(store_->set_paused("idle", true).has_value());
  const JobId other = insert(limited(1));
  EXPECT_THAT(claim_all(), ElementsAre(other));
  finish(other);
  EXPECT_THAT(claim_all(), IsEmpty());
  ASSERT_TRUE(store_->set_paused("idle", false).has_value());
  EXPECT_THAT(claim_all(), ElementsAre(idle));
}

TEST_F(SqliteReserved, ByTicketsToo) {
  const JobId idle = insert(limited(1, "idle"));
  const JobId other = insert(limited(1));
  const Ticket tickets[] = {{other, "default", "work", 0}, {idle, "idle", "work", 0}};
  const auto claimed = store_->claim({tickets, 2}, "w", ++claims_, 30s).value();
  ASSERT_THAT(claimed, SizeIs(2));
  EXPECT_TRUE(claimed[0].has_value());
  EXPECT_FALSE(claimed[1].has_value());
  EXPECT_EQ(stands(idle), kPending);
}

// A claim of one with a rate has to ask for that.
TEST_F(SqliteReserved, OneWithARateHasNone) {
  NewJob rated = limited(2);
  rated.rate = Rate{"rate", 5, 1h};
  const JobId asks = insert(rated);
  EXPECT_EQ(stands(asks), kAsks);
  const JobId beside = insert(limited(2));
  EXPECT_EQ(stands(beside), kAsks) << "beside one that has to";
  const JobId waits = insert(rated);
  EXPECT_EQ(stands(waits), kPending);
  EXPECT_THAT(claim_all(), ElementsAre(asks, beside));
  finish(asks);
  EXPECT_EQ(stands(waits), kAsks);
  EXPECT_THAT(claim_all(), ElementsAre(waits));
}

TEST_F(SqliteReserved, OneWithARateIsCountedWithThePlaces) {
  EXPECT_EQ(stands(insert(limited(1))), kReserved);
  NewJob rated = limited(1);
  rated.rate = Rate{"rate", 5, 1h};
  EXPECT_EQ(stands(insert(rated)), kPending);
  EXPECT_THAT(claim_all(), SizeIs(1));
}

// One may run beside four others, the other beside none.
TEST_F(SqliteReserved, OnesWithSeveralLimitsAsk) {
  const JobId strict = insert(limited(1));
  const JobId lax = insert(limited(5));
  EXPECT_EQ(stands(strict), kAsks);
  EXPECT_EQ(stands(lax), kAsks);
  EXPECT_THAT(claim_all(), ElementsAre(strict, lax));
  finish(strict);
  const JobId again = insert(limited(1));
  EXPECT_EQ(stands(again), kPending) << "beside the other, which runs";
  finish(lax);
  EXPECT_EQ(stands(again), kReserved);
}

TEST_F(SqliteReserved, WhatExpiresOrIsCancelledLetsTheNextGo) {
  const auto ids = insert({limited(1), limited(1), limited(1)});
  ASSERT_TRUE(store_->cancel({ids.data(), 1}).has_value());
  EXPECT_EQ(stands(ids[1]), kReserved);
  run_sql(file_, "UPDATE carrel_jobs SET expires_at = 1, wake_at = 1 WHERE id = " +
                     std::to_string(value(ids[1])));
  ASSERT_TRUE(store_->sweep(100).has_value());
  EXPECT_EQ(stands(ids[2]), kReserved);
  EXPECT_THAT(claim_all(), ElementsAre(ids[2]));
}

TEST_F(SqliteReserved, WhatIsLostStandsInLineAgain) {
  const auto ids = insert({limited(1), limited(1)});
  EXPECT_THAT(claim_all(), ElementsAre(ids[0]));
  run_sql(file_, "UPDATE carrel_jobs SET wake_at = 1 WHERE id = " +
                     std::to_string(value(ids[0])));
  const Swept swept = store_->sweep(100).value();
  EXPECT_EQ(swept.rescued, 1U);
  EXPECT_THAT(claim_all(), SizeIs(1));
  EXPECT_THAT(claim_all(), IsEmpty()) << "one at a time";
}

// A program of version 6 of the schema, in its words: it knows of no places.
TEST_F(SqliteReserved, AProgramOfTheVersionBeforeWorksOnIt) {
  EXPECT_THAT(run_sql(file_,
                      "SELECT version || ' ' || usable_from FROM carrel_schema"
                      " ORDER BY version DESC LIMIT 1"),
              ElementsAre("7 6"));
  const auto ids = insert({limited(1), limited(1)});
  const std::string first = std::to_string(value(ids[0]));
  // It inserts: what has its place counts as running.
  EXPECT_THAT(
      run_sql(file_,
              "SELECT count(*) FROM carrel_limits WHERE key = 'key' AND state = 3"),
      ElementsAre("1"));
  run_sql(file_,
          "BEGIN IMMEDIATE;"
          "INSERT INTO carrel_jobs (state, queue, kind, priority, max_attempts, wake_at,"
          "  expires_at, enqueued_at, run_at, timeout_us, request_id, payload)"
          "VALUES (0, 'older', 'work', 0, 3, NULL, NULL, 1, 1, 0, NULL,"
          "  CAST('{}' AS BLOB));"
          "INSERT INTO carrel_limits (job, key, running, state, queue, kind, priority,"
          "  run_at) VALUES (last_insert_rowid(), 'key', 1, 0, 'older', 'work', 0, 1);"
          "COMMIT");
  // It claims: none has to ask, so it looks at no key.
  EXPECT_THAT(
      run_sql(file_, "SELECT EXISTS (SELECT 1 FROM carrel_limits WHERE state = 2)"),
      ElementsAre("0"));
  run_sql(file_,
          "UPDATE carrel_jobs SET state = 3, fence = fence + 1, attempt = 1,"
          "  wake_at = 9000000000000000, claim_number = 1, worker = 'older',"
          "  started_at = 2 WHERE id = " +
              first + " AND +state = 2");
  EXPECT_THAT(claim_all(), IsEmpty());
  // It finishes, and lets the next of each lane go, that is to ask.
  run_sql(file_,
          "BEGIN IMMEDIATE;"
          "UPDATE carrel_jobs SET state = 5, finished_fence = 1, ended_at = 3"
          " WHERE id = " +
              first +
              " AND fence = 1 AND +state = 3;"
              "UPDATE carrel_limits SET state = NULL, run_at = 0 WHERE job = " +
              first +
              ";"
              "UPDATE carrel_jobs SET state = 2 WHERE state = 0;"
              "UPDATE carrel_limits SET state = 2 WHERE state = 0;"
              "COMMIT");
  EXPECT_EQ(stands(ids[1]), kAsks);
  EXPECT_THAT(claim_from({"older"}), SizeIs(1));
  EXPECT_THAT(claim_all(), IsEmpty());
  EXPECT_EQ(stands(ids[1]), kPending);
  finish(runs_.back().lease.id);
  EXPECT_THAT(claim_all(), ElementsAre(ids[1]));
}

// It left one pending in another lane for the sake of a place that nobody claims.
TEST_F(SqliteReserved, WhatAnOlderProgramLeftWaitingIsLetGoWhereSomeoneLooks) {
  const auto ids = insert({limited(1, "idle"), limited(1, "idle")});
  run_sql(file_,
          "INSERT INTO carrel_jobs (state, queue, kind, priority, max_attempts, wake_at,"
          "  enqueued_at, run_at, timeout_us, payload)"
          "VALUES (0, 'default', 'work', 0, 3, NULL, 1, 1, 0, CAST('{}' AS BLOB));"
          "INSERT INTO carrel_limits (job, key, running, state, queue, kind, priority,"
          "  run_at) VALUES (last_insert_rowid(), 'key', 1, 0, 'default', 'work', 0, 1)");
  EXPECT_THAT(claim_from({"default"}), IsEmpty());
  ASSERT_TRUE(store_->cancel({&ids[1], 1}).has_value());
  EXPECT_EQ(stands(ids[0]), kAsks);
  EXPECT_THAT(claim_from({"default"}), SizeIs(1));
  EXPECT_THAT(claim_from({"idle"}), IsEmpty());
}

}  // namespace
}  // namespace carrel::test
