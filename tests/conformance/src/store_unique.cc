// Unique keys: what an enqueue meets, and what becomes of it.
#include <gmock/gmock.h>

#include "unique_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

void add_meeting_cases(UniqueCases& cases) {
  cases.add("Unique_TheSecondIsNotAddedAndIsTold", [](StoreCase& t) {
    const Inserted first = insert(t, keyed("k", OnConflict::kSkip, "1"));
    EXPECT_FALSE(first.existed);
    const Inserted second = insert(t, keyed("k", OnConflict::kSkip, "2"));
    EXPECT_TRUE(second.existed);
    EXPECT_FALSE(second.replaced);
    EXPECT_EQ(second.id, first.id);
    ASSERT_TRUE(second.ticket.has_value());
    EXPECT_EQ(second.ticket->id, first.id);
    EXPECT_EQ(t.record(first.id).payload, "1");
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(first.id));
  });

  cases.add("Unique_OtherKeysAndNoneAreNotTheSame", [](StoreCase& t) {
    expect_new(t, keyed("a"), "the first");
    expect_new(t, keyed("b"), "another key");
    expect_new(t, keyed("A"), "case counts");
    expect_new(t, keyed("a "), "so do blanks at the end");
    expect_new(t, t.job(), "no key");
    expect_new(t, t.job(), "no key again");
  });

  cases.add("Unique_TwiceInOneCallIsOneJob", [](StoreCase& t) {
    const std::vector<NewJob> jobs = {keyed("a"), t.job(), keyed("b"), keyed("a"),
                                      keyed("a")};
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(5));
    for (auto& a : answers) ASSERT_TRUE(a.has_value()) << a.error().message;
    for (const std::size_t fresh : {0, 1, 2}) EXPECT_FALSE(answers[fresh]->existed);
    for (const std::size_t twin : {3, 4}) {
      EXPECT_TRUE(answers[twin]->existed);
      EXPECT_EQ(answers[twin]->id, answers[0]->id);
    }
    EXPECT_THAT(t.peek(), SizeIs(3));
  });

  cases.add("Unique_TheKeyIsFreeWhenTheJobIsInNoneOfTheStates", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k"));
    expect_met(t, keyed("k"), run.lease.id, "it runs");
    t.finish(run);
    const Inserted next = insert(t, keyed("k"));
    EXPECT_FALSE(next.existed);
    EXPECT_NE(next.id, run.lease.id);
    expect_met(t, keyed("k"), next.id, "the next one holds the key");
  });

  cases.add("Unique_AJobThatIsToBeTriedAgainStillCounts", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k"));
    t.finish(run, Verdict::kRetry, 1h);
    expect_met(t, keyed("k"), run.lease.id, "retryable");
    t.advance(1h);
    t.sweep_all();
    const Claimed again = t.claim(run.lease.id);
    t.finish(again, Verdict::kSnoozed, 1h);
    expect_met(t, keyed("k"), run.lease.id, "scheduled");
  });

  cases.add("Unique_CancelledAndDiscardedJobsLetTheirKeyGo", [](StoreCase& t) {
    const JobId first = t.insert(keyed("k"));
    t.cancel(first);
    const Claimed second = t.insert_and_claim(keyed("k"));
    EXPECT_NE(second.lease.id, first);
    t.finish(second, Verdict::kDiscarded);
    expect_new(t, keyed("k"), "the second was discarded");
  });

  cases.add("Unique_TheStatesAreThoseThatTheEnqueueNames", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k"));
    NewJob waiting = keyed("k");
    waiting.unique->states = {State::kScheduled, State::kAvailable};
    const Inserted next = insert(t, waiting);
    EXPECT_FALSE(next.existed) << "the first runs already";
    expect_met(t, waiting, next.id, "the second waits");
    t.finish(run);
    expect_met(t, waiting, next.id, "the end of the first is not the second's concern");
    NewJob discarded = keyed("k");
    discarded.unique->states = {State::kDiscarded};
    t.finish(t.claim(next.id), Verdict::kDiscarded);
    expect_met(t, discarded, next.id, "it is discarded");
    t.store().retry({&next.id, 1});
    expect_met(t, keyed("k"), next.id, "it waits again");
  });

  cases.add("Unique_AnOperatorsRetryIsNotRefused", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(keyed("k"));
    t.finish(run, Verdict::kDiscarded);
    const JobId holder = t.insert(keyed("k"));
    ASSERT_TRUE(t.store().retry({&run.lease.id, 1}).at(0).has_value());
    EXPECT_EQ(t.state(run.lease.id), State::kAvailable);
    expect_met(t, keyed("k"), holder, "the key is the last one's");
  });

  cases.add("Unique_ARequestIdIsLookedForFirst", [](StoreCase& t) {
    NewJob job = keyed("k");
    job.request_id = "r";
    const Claimed run = t.insert_and_claim(job);
    t.finish(run);
    expect_met(t, job, run.lease.id, "the same request, though its key is free");
  });

  cases.add("Unique_ARequestThatMetAJobAsksAgain", [](StoreCase& t) {
    const Claimed holder = t.insert_and_claim(keyed("k"));
    NewJob job = keyed("k");
    job.request_id = "r";
    const std::vector<NewJob> twins(2, job);
    for (auto& answer : t.store().insert(twins, kPatience)) {
      EXPECT_EQ(must(std::move(answer)).id, holder.lease.id);
    }
    t.finish(holder);
    const Inserted own = insert(t, job);
    EXPECT_FALSE(own.existed);
    EXPECT_EQ(t.record(own.id).request_id, "r");
    expect_met(t, job, own.id, "from now on it is known");
  });

  cases.add("Unique_IsShownOfTheJobThatHoldsTheKey", [](StoreCase& t) {
    const Claimed first = t.insert_and_claim(keyed("[\"sync\",{\"user\":9}]"));
    EXPECT_EQ(t.record(first.lease.id).unique_key, "[\"sync\",{\"user\":9}]");
    t.finish(first);
    const JobId second = t.insert(keyed("[\"sync\",{\"user\":9}]"));
    EXPECT_EQ(t.record(second).unique_key, "[\"sync\",{\"user\":9}]");
    EXPECT_EQ(t.record(first.lease.id).unique_key, "") << "it holds it no more";
    EXPECT_EQ(t.record(t.insert(t.job())).unique_key, "");
  });

  cases.add("Unique_ABadOneIsRefusedAlone", [](StoreCase& t) {
    std::vector<NewJob> jobs = {keyed(""), keyed(std::string(257, 'x')), keyed("k"),
                                keyed("k"), keyed("k")};
    jobs[2].unique->states.clear();
    jobs[3].unique->period = -1us;
    auto answers = t.store().insert(jobs, kPatience);
    ASSERT_THAT(answers, SizeIs(5));
    for (const std::size_t bad : {0, 1, 2, 3}) {
      ASSERT_FALSE(answers[bad].has_value()) << bad;
      EXPECT_EQ(answers[bad].error().code, Code::kInvalid) << bad;
      EXPECT_FALSE(answers[bad].error().message.empty());
    }
    ASSERT_TRUE(answers[4].has_value());
    EXPECT_FALSE(answers[4]->existed);
  });

  cases.add("Unique_AKeyOf256BytesIsCompared", [](StoreCase& t) {
    const std::string long_one(255, 'k');
    const JobId id = t.insert(keyed(long_one + "1"));
    expect_new(t, keyed(long_one + "2"), "the last byte differs");
    expect_met(t, keyed(long_one + "1"), id, "it does not");
  });
}

void add_restart_cases(UniqueCases& cases) {
  cases.add("Unique_KeysAreStillHeldAfterARestart", [](StoreCase& t) {
    if (!t.traits().durable) GTEST_SKIP() << "the rows go with the process";
    t.options().retention.completed = 0s;
    t.create_again();
    const JobId waits = t.insert(keyed("waits"));
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    t.reopen();
    expect_met(t, keyed("waits"), waits, "it waits");
    expect_met(t, within(1h), run.lease.id, "its period is not over");
  });
}

}  // namespace

void add_unique_cases(StoreCases& cases) {
  UniqueCases where_there_are_any(cases);
  add_meeting_cases(where_there_are_any);
  add_unique_period_cases(where_there_are_any);
  add_unique_replace_cases(where_there_are_any);
  add_unique_race_cases(where_there_are_any);
  add_restart_cases(where_there_are_any);

  cases.add("Unique_IsRefusedWhereTheStoreHasNone", [](StoreCase& t) {
    if (t.traits().unique) GTEST_SKIP() << "the store has unique keys";
    const NewJob job = keyed("k");
    const auto answers = t.store().insert({&job, 1}, kPatience);
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_FALSE(answers[0].has_value());
    EXPECT_EQ(answers[0].error().code, Code::kUnsupported);
  });
}

}  // namespace carrel::conformance
