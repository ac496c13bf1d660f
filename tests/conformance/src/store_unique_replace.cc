// Enqueues that replace the job that holds their unique key.
#include <gmock/gmock.h>

#include "unique_case.h"

namespace carrel::conformance {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

void add_unique_replace_cases(UniqueCases& cases) {
  cases.add("Unique_ReplaceTakesArgumentsAndSchedule", [](StoreCase& t) {
    const JobId id = t.insert(keyed("k", OnConflict::kReplace, "1"));
    NewJob later = keyed("k", OnConflict::kReplace, "2");
    later.delay = 10s;
    later.start_within = 5s;
    const Inserted met = insert(t, later);
    EXPECT_TRUE(met.existed);
    EXPECT_TRUE(met.replaced);
    EXPECT_EQ(met.id, id);
    EXPECT_FALSE(met.ticket.has_value()) << "it is not due";
    const JobRecord record = t.record(id);
    EXPECT_EQ(record.payload, "2");
    EXPECT_EQ(record.state, State::kScheduled);
    EXPECT_EQ(record.expires, record.run_at + 5s);
    EXPECT_THAT(t.peek(), IsEmpty());
    EXPECT_EQ(t.claim_answer(id).error(), Refusal::kEarly) << "by its old ticket";

    const Inserted now = insert(t, keyed("k", OnConflict::kReplace, "3"));
    EXPECT_TRUE(now.replaced);
    ASSERT_TRUE(now.ticket.has_value());
    EXPECT_FALSE(t.record(id).expires.has_value());
    EXPECT_EQ(t.claim(id).payload, "3");
  });

  cases.add("Unique_ReplaceKeepTimeTakesTheArgumentsOnly", [](StoreCase& t) {
    NewJob first = keyed("k", OnConflict::kReplaceKeepTime, "1");
    first.delay = 10s;
    const JobId id = t.insert(first);
    const JobRecord before = t.record(id);
    const Inserted met = insert(t, keyed("k", OnConflict::kReplaceKeepTime, "2"));
    EXPECT_TRUE(met.replaced);
    const JobRecord after = t.record(id);
    EXPECT_EQ(after.payload, "2");
    EXPECT_EQ(after.state, State::kScheduled);
    EXPECT_EQ(after.run_at, before.run_at);
    t.advance(11s);
    t.sweep_all();
    EXPECT_EQ(t.claim(id).payload, "2");
  });

  cases.add("Unique_LongAndShortArgumentsReplaceEachOther", [](StoreCase& t) {
    const std::string large(100'000, 'x');
    const JobId id = t.insert(keyed("k", OnConflict::kReplace, "short"));
    EXPECT_TRUE(insert(t, keyed("k", OnConflict::kReplace, large)).replaced);
    EXPECT_TRUE(t.record(id).payload == large);
    EXPECT_TRUE(insert(t, keyed("k", OnConflict::kReplace, large + "y")).replaced);
    EXPECT_TRUE(t.record(id).payload == large + "y");
    EXPECT_TRUE(insert(t, keyed("k", OnConflict::kReplace, "")).replaced);
    EXPECT_EQ(t.claim(id).payload, "");
  });

  cases.add("Unique_AJobThatRunsIsNotReplaced", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k", OnConflict::kReplace, "1"));
    expect_met(t, keyed("k", OnConflict::kReplace, "2"), run.lease.id, "it runs");
    EXPECT_EQ(t.record(run.lease.id).payload, "1");
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kApplied);
  });

  cases.add("Unique_AReplacedJobBeginsAnewAndItsAttemptsCountOn", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k", OnConflict::kReplace, "1"));
    Finish failed = t.finish_of(run.lease, Verdict::kRetry, 1h);
    failed.checkpoint = "of the old arguments";
    t.finish(failed);
    NewJob anew = keyed("k", OnConflict::kReplace, "2");
    EXPECT_TRUE(insert(t, anew).replaced);
    const Claimed second = t.claim(run.lease.id);
    EXPECT_EQ(second.payload, "2");
    EXPECT_EQ(second.checkpoint, "") << "it was of the old arguments";
    EXPECT_EQ(second.attempt, 2);
    EXPECT_GT(second.lease.fence, run.lease.fence);
  });

  cases.add("Unique_SeveralReplacementsInOneCallAreDoneInTheirOrder", [](StoreCase& t) {
    const std::vector<NewJob> jobs = {
        keyed("k", OnConflict::kReplace, "1"), keyed("k", OnConflict::kReplace, "2"),
        keyed("k", OnConflict::kSkip, "3"), keyed("k", OnConflict::kReplace, "4")};
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(4));
    for (auto& a : answers) ASSERT_TRUE(a.has_value()) << a.error().message;
    EXPECT_FALSE(answers[0]->existed);
    EXPECT_TRUE(answers[1]->replaced);
    EXPECT_FALSE(answers[2]->replaced);
    EXPECT_TRUE(answers[3]->replaced);
    EXPECT_EQ(t.record(answers[0]->id).payload, "4");
    EXPECT_THAT(t.peek(), SizeIs(1));
  });

  cases.add("Unique_AReplacedJobIsHeldToTheLimitOfItsNewArguments", [](StoreCase& t) {
    if (!t.traits().limits) GTEST_SKIP() << "the store has no limits";
    const auto limited = [](const char* key, OnConflict how) {
      NewJob job = keyed("k", how);
      job.limit = Limit{key, 1};
      return job;
    };
    NewJob one = t.job();
    one.limit = Limit{"one", 1};
    const Claimed run_of_one = t.insert_and_claim(one);
    const JobId id = t.insert(limited("one", OnConflict::kSkip));
    EXPECT_EQ(t.state(id), State::kPending);
    EXPECT_TRUE(insert(t, limited("two", OnConflict::kReplaceKeepTime)).replaced);
    EXPECT_EQ(t.state(id), State::kAvailable) << "of that key nothing runs";
    EXPECT_EQ(t.record(id).limit->key, "two");
    EXPECT_TRUE(insert(t, limited("one", OnConflict::kReplace)).replaced);
    EXPECT_EQ(t.state(id), State::kPending);
    EXPECT_THAT(ids_of(t.finish(run_of_one).freed), ElementsAre(id));
    EXPECT_TRUE(insert(t, keyed("k", OnConflict::kReplace)).replaced);
    EXPECT_FALSE(t.record(id).limit.has_value());
    const JobId next = t.insert(one);
    EXPECT_EQ(t.state(next), State::kAvailable) << "it is in that line no more";
    EXPECT_TRUE(insert(t, limited("one", OnConflict::kReplace)).replaced);
    EXPECT_EQ(t.state(id), State::kPending) << "and here it is again, behind the next";
  });
}

}  // namespace carrel::conformance
