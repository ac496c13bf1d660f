// Final rows are bounded by number and by time: memory stays flat however many jobs run.
#include "fixture.h"

namespace carrel::memory {
namespace {

class RetentionTest : public StoreTest {};

TEST_F(RetentionTest, ByDefaultTenThousandFinalRowsTheOldestGoFirst) {
  const std::vector<NewJob> batch(1'000, job());
  for (int i = 0; i < 15; ++i) {
    ASSERT_EQ(store_->insert(batch, 1s).size(), batch.size());
    std::vector<Finish> ends;
    for (const Claimed& run : claim(batch.size())) ends.emplace_back().lease = run.lease;
    ASSERT_EQ(ends.size(), batch.size());
    store_->finish(ends);
    EXPECT_LE(rows(), 10'000U);
  }
  EXPECT_EQ(rows(), 10'000U);
  EXPECT_FALSE(exists(JobId{5'000}));
  EXPECT_TRUE(exists(JobId{5'001}));
  EXPECT_TRUE(exists(JobId{15'000}));
}

TEST_F(RetentionTest, TheNumberCountsAllFinalStatesAndNoOthers) {
  open({.max_rows = 3});
  const JobId waiting = insert(job("nobody"));
  const JobId first = insert_and_finish(Verdict::kDiscarded);
  clock_.now_ += 1s;
  const JobId second = insert_and_finish(Verdict::kCompleted);
  clock_.now_ += 1s;
  const JobId third = insert(job());
  ASSERT_EQ(store_->cancel({&third, 1}).value()[0], Cancelled::kCancelled);
  clock_.now_ += 1s;
  EXPECT_TRUE(exists(first));
  const JobId fourth = insert_and_finish();
  EXPECT_FALSE(exists(first)) << "also when others are kept for less long";
  EXPECT_TRUE(exists(second));
  EXPECT_TRUE(exists(third));
  EXPECT_TRUE(exists(fourth));
  EXPECT_TRUE(exists(waiting));
}

TEST_F(RetentionTest, NoRetentionDeletesWithTheFinish) {
  open({.completed = 0s, .cancelled = 0s, .discarded = 1h});
  EXPECT_FALSE(exists(insert_and_finish()));
  EXPECT_TRUE(exists(insert_and_finish(Verdict::kDiscarded)));
  const JobId id = insert(job());
  EXPECT_EQ(store_->cancel({&id, 1}).value()[0], Cancelled::kCancelled);
  EXPECT_FALSE(exists(id));
  EXPECT_EQ(rows(), 1U);
}

TEST_F(RetentionTest, ByTimeThroughTheSweep) {
  open({.completed = 10s, .discarded = 20s});
  const JobId done = insert_and_finish();
  const JobId failed = insert_and_finish(Verdict::kDiscarded);
  EXPECT_EQ(store_->sweep(9).value().next, Duration(10s));
  clock_.now_ += 10s;
  const Swept swept = store_->sweep(9).value();
  EXPECT_EQ(swept.purged, 1U);
  EXPECT_EQ(swept.next, Duration(10s));
  EXPECT_FALSE(exists(done));
  EXPECT_TRUE(exists(failed));
}

TEST_F(RetentionTest, ForeverIsStillBoundedByNumber) {
  open({.completed = Duration::max(), .max_rows = 2});
  const JobId first = insert_and_finish();
  insert_and_finish();
  EXPECT_EQ(store_->sweep(9).value().next, Duration::max());
  insert_and_finish();
  EXPECT_FALSE(exists(first));
  EXPECT_EQ(rows(), 2U);
}

TEST_F(RetentionTest, ARequestIdIsKnownAsLongAsItsRow) {
  open({.max_rows = 1});
  NewJob named = job();
  named.request_id = "r";
  const JobId first = insert(named);
  EXPECT_TRUE(store_->insert({&named, 1}, 1s)[0].value().existed);
  finish(claim().at(0));
  EXPECT_EQ(insert(named), first);
  insert_and_finish();  // the first row goes
  const Inserted again = store_->insert({&named, 1}, 1s)[0].value();
  EXPECT_FALSE(again.existed);
  EXPECT_NE(again.id, first);
}

TEST_F(RetentionTest, ARetriedRowIsFinalNoMore) {
  open({.completed = 10s, .max_rows = 1});
  const JobId id = insert_and_finish();
  ASSERT_TRUE(store_->retry({&id, 1})[0].has_value());
  insert_and_finish();  // takes the retried job, which is older
  insert(job());
  clock_.now_ += 1h;
  EXPECT_EQ(store_->sweep(9).value().purged, 1U);
  EXPECT_EQ(rows(), 2U);
}

}  // namespace
}  // namespace carrel::memory
