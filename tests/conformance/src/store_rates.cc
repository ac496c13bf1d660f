#include "store_rates.h"

#include <gmock/gmock.h>

#include "rate_case.h"

namespace carrel::conformance {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Gt;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;
using testing::UnorderedElementsAre;

void add_window_cases(const Add& add) {
  add("Rate_NoMoreBeginThanItSays", [](StoreCase& t) {
    const auto ids = t.insert_many(3, rated("user:7", 2));
    run(t, ids[0]);
    run(t, ids[1]);
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    EXPECT_EQ(t.state(ids[2]), State::kPending);
    EXPECT_THAT(t.sweep_all().due, IsEmpty()) << "that they have ended changes nothing";
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
    EXPECT_EQ(t.state(ids[2]), State::kAvailable);
    run(t, ids[2]);
  });

  add("Rate_TheWindowSlides", [](StoreCase& t) {
    const auto ids = t.insert_many(4, rated("k", 2));
    run(t, ids[0]);
    t.advance(4min);
    run(t, ids[1]);
    t.advance(5min);  // 9
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    t.advance(1min);  // 10: the first is out of it
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
    run(t, ids[2]);
    t.advance(3min);  // 13
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    t.advance(1min);  // 14: the second is
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[3]));
  });

  add("Rate_WhatMustWaitIsPendingAndNotPeeked", [](StoreCase& t) {
    const auto ids = t.insert_many(3, rated("k"));
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(ids[0]));
    EXPECT_EQ(t.state(ids[1]), State::kPending);
    run(t, ids[0]);
    EXPECT_THAT(t.peek(), IsEmpty());
    const auto counts = must(t.store().monitor().counts());
    EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kPending)], 2U);
  });

  add("Rate_TheTicketComesWithTheInsertOnlyWhereItCanBegin", [](StoreCase& t) {
    const std::vector<NewJob> jobs(2, rated("k"));
    auto answers = t.store().insert(jobs, kPatience);
    EXPECT_TRUE(must(std::move(answers[0])).ticket.has_value());
    EXPECT_FALSE(must(std::move(answers[1])).ticket.has_value());
  });

  add("Rate_OneKeyHoldsUpNoOther", [](StoreCase& t) {
    const auto mine = t.insert_many(2, rated("a"));
    const JobId other = t.insert(rated("b"));
    const JobId plain = t.insert(t.job());
    run(t, mine[0]);
    run(t, other);
    run(t, plain);
    EXPECT_EQ(t.claim_answer(mine[1]).error(), Refusal::kLimited);
  });

  add("Rate_AnOpenWindowWakesOnlyTheNext", [](StoreCase& t) {
    const auto ids = t.insert_many(300, rated("k", 3));
    EXPECT_THAT(t.peek(), SizeIs(3));
    for (int i = 0; i < 3; ++i) run(t, ids[static_cast<std::size_t>(i)]);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[3], ids[4], ids[5]));
    EXPECT_THAT(t.peek(), SizeIs(3));
    t.advance(kPeriod);
    EXPECT_THAT(t.sweep_all().due, IsEmpty()) << "those that may begin are there";
  });

  add("Rate_TheSweepSaysWhenTheWindowOpens", [](StoreCase& t) {
    const auto ids = t.insert_many(2, rated("k"));
    run(t, ids[0]);
    t.advance(4min);
    Swept swept = t.sweep_all();
    EXPECT_THAT(swept.next, AllOf(Gt(Duration{0}), Le(Duration(6min))));
    // It may have to look once more: the key is first looked at a period after its first
    // job came.
    for (int look = 0; look < 3 && swept.due.empty(); ++look) {
      t.advance(swept.next);
      swept = t.sweep_all();
    }
    EXPECT_THAT(ids_of(swept.due), ElementsAre(ids[1]));
  });

  add("Rate_AClaimThatWasRefusedIsWokenToo", [](StoreCase& t) {
    const JobId a = t.insert(rated("k"));
    NewJob elsewhere = rated("k");
    elsewhere.queue = "elsewhere";  // a lane of its own, and so available
    const JobId b = t.insert(elsewhere);
    run(t, a);
    EXPECT_EQ(t.state(b), State::kAvailable);
    EXPECT_EQ(t.claim_answer(b).error(), Refusal::kLimited);
    EXPECT_EQ(t.state(b), State::kPending);
    EXPECT_THAT(t.sweep_all().next, Le(kPeriod));
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(b));
    EXPECT_TRUE(t.claim_answer(b).has_value());
  });

  add("Rate_EachJobIsHeldToItsOwn", [](StoreCase& t) {
    const auto many = t.insert_many(3, rated("k", 5));
    for (const JobId id : many) run(t, id);
    t.advance(2min);
    NewJob hourly = rated("k", 4, 1h);
    hourly.queue = "hourly";
    const auto strict = t.insert_many(2, hourly);
    run(t, strict[0]);
    EXPECT_EQ(t.claim_answer(strict[1]).error(), Refusal::kLimited);
    const JobId fifth = t.insert(rated("k", 5));
    run(t, fifth);
    t.advance(kPeriod);
    t.sweep_all();
    EXPECT_EQ(t.state(strict[1]), State::kPending) << "five in its hour";
    run(t, t.insert(rated("k", 1)));
    t.advance(48min);  // the first three are out of the hour
    t.sweep_all();
    EXPECT_EQ(t.state(strict[1]), State::kAvailable);
  });

  add("Rate_IsShown", [](StoreCase& t) {
    const JobRecord record = t.record(t.insert(rated("user:9", 4, 90s)));
    ASSERT_TRUE(record.rate.has_value());
    EXPECT_EQ(record.rate->key, "user:9");
    EXPECT_EQ(record.rate->starts, 4U);
    EXPECT_EQ(record.rate->period, 90s);
    EXPECT_FALSE(record.limit.has_value());
    EXPECT_FALSE(t.record(t.insert(t.job())).rate.has_value());
    const auto listed = must(t.store().monitor().list({}, JobId{0}, 10));
    ASSERT_EQ(listed.size(), 2U);
    EXPECT_TRUE(listed[1].rate.has_value());
  });

  add("Rate_ABadOneIsRefusedAlone", [](StoreCase& t) {
    const std::vector<NewJob> jobs = {rated(""),
                                      rated("k", 0),
                                      rated(std::string(257, 'x')),
                                      rated("k", 1, 0s),
                                      rated("k", 1, -1s),
                                      rated("k", 1, 24h * 31 + 1us),
                                      rated("k", 1, 24h * 31)};
    const auto answers = t.store().insert(jobs, kPatience);
    ASSERT_EQ(answers.size(), jobs.size());
    for (std::size_t i = 0; i + 1 < jobs.size(); ++i) {
      ASSERT_FALSE(answers[i].has_value()) << i;
      EXPECT_EQ(answers[i].error().code, Code::kInvalid) << i;
    }
    EXPECT_TRUE(answers.back().has_value());
  });
}

void add_life_cases(const Add& add) {
  add("Rate_EveryAttemptThatBeganCounts", [](StoreCase& t) {
    for (const Verdict verdict :
         {Verdict::kCompleted, Verdict::kRetry, Verdict::kDiscarded, Verdict::kSnoozed,
          Verdict::kInterrupted}) {
      const std::string key = "k" + std::to_string(static_cast<int>(verdict));
      const Claimed first = begin(t, t.insert(rated(key)));
      const JobId next = t.insert(rated(key));
      EXPECT_THAT(ids_of(t.finish(first, verdict, 1h).freed),
                  testing::Not(testing::Contains(next)));
      const JobId lane = t.insert(rated(key));
      for (const JobId id : {next, lane}) {
        EXPECT_EQ(t.claim_answer(id).error(), Refusal::kLimited) << key;
      }
    }
  });

  add("Rate_WhatWasGivenBackUnbegunDoesNotCount", [](StoreCase& t) {
    const auto ids = t.insert_many(3, rated("k", 2));
    const Claimed back = begin(t, ids[0]);
    const Claimed stays = begin(t, ids[1]);
    EXPECT_EQ(t.state(ids[2]), State::kPending);
    // Its start makes room for one: of those that wait it is the oldest itself.
    t.finish(back, Verdict::kReleased);
    EXPECT_EQ(t.state(ids[0]), State::kAvailable);
    EXPECT_EQ(t.state(ids[2]), State::kPending);
    // Once only, however often it is said.
    EXPECT_EQ(t.finish(back, Verdict::kReleased).kind, Finished::Kind::kAlready);
    EXPECT_EQ(t.state(ids[2]), State::kPending);
    const Claimed again = begin(t, ids[0]);
    EXPECT_EQ(again.attempt, 1);
    t.finish(again);
    t.finish(stays);
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
  });

  add("Rate_AReleasedJobMayBeginAtOnce", [](StoreCase& t) {
    const JobId id = t.insert(rated("k"));
    for (int again = 0; again < 3; ++again) {
      t.finish(begin(t, id), Verdict::kReleased);
      EXPECT_EQ(t.state(id), State::kAvailable);
    }
    run(t, id);
    EXPECT_EQ(t.state(t.insert(rated("k"))), State::kPending);
  });

  add("Rate_AClaimWhoseAnswerWasLostDoesNotCount", [](StoreCase& t) {
    const JobId lost = t.insert(rated("k"));
    begin(t, lost);
    must(t.store().beat(kWorker, t.last_claim_number(), {}, true, kLease));
    EXPECT_EQ(t.state(lost), State::kAvailable);
    run(t, lost);
    EXPECT_EQ(t.state(t.insert(rated("k"))), State::kPending);
  });

  add("Rate_RetrySnoozeAndRescueKeepTheRate", [](StoreCase& t) {
    const JobId again = t.insert(rated("retry"));
    t.finish(begin(t, again), Verdict::kRetry, 1s);
    const JobId later = t.insert(rated("snooze"));
    t.finish(begin(t, later), Verdict::kSnoozed, 1s);
    const JobId lost = t.insert(rated("rescue"));
    t.claim(lost, kWorker, 1s);
    t.advance(31s);
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    for (const JobId id : {again, later, lost}) EXPECT_EQ(t.state(id), State::kPending);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), UnorderedElementsAre(again, later, lost));
  });

  add("Rate_AJobThatIsCancelledBeforeItsTurnGivesWay", [](StoreCase& t) {
    const auto ids = t.insert_many(3, rated("k"));
    EXPECT_EQ(t.cancel(ids[0]), Cancelled::kCancelled);
    EXPECT_EQ(t.state(ids[1]), State::kAvailable);
    EXPECT_EQ(t.cancel(ids[2]), Cancelled::kCancelled) << "a pending one too";
    run(t, ids[1]);
    t.advance(kPeriod);
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    EXPECT_EQ(t.state(ids[2]), State::kCancelled);
  });

  add("Rate_APendingJobExpiresToo", [](StoreCase& t) {
    run(t, t.insert(rated("k")));
    NewJob job = rated("k");
    job.start_within = 1min;
    const JobId id = t.insert(job);
    EXPECT_EQ(t.state(id), State::kPending);
    t.advance(2min);
    EXPECT_EQ(t.sweep_all().discarded, 1U);
    EXPECT_EQ(t.state(id), State::kDiscarded);
    t.advance(kPeriod);
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
  });

  add("Rate_AnOperatorsRetryWaitsForTheWindow", [](StoreCase& t) {
    const JobId id = t.insert(rated("k"));
    run(t, id);
    must(std::move(t.store().retry({&id, 1})[0]));
    EXPECT_EQ(t.state(id), State::kPending);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(id));
  });

  add("Rate_ADelayedJobIsHeldWhenItFallsDue", [](StoreCase& t) {
    NewJob delayed = rated("k");
    delayed.delay = 2min;
    const auto ids = t.insert_many(2, delayed);
    run(t, t.insert(rated("k")));
    t.advance(3min);
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    EXPECT_EQ(t.state(ids[0]), State::kPending);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), SizeIs(1));
  });

  add("Rate_APausedQueueHoldsUpNoOther", [](StoreCase& t) {
    NewJob paused = rated("k");
    paused.queue = "paused";
    t.pause("paused");
    const JobId waits = t.insert(paused);
    const auto ids = t.insert_many(2, rated("k"));
    run(t, ids[0]);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[1]));
    t.resume("paused");
    EXPECT_TRUE(t.claim_answer(waits).has_value());
  });

  add("Rate_StartsOutliveTheirJobs", [](StoreCase& t) {
    t.options().retention.completed = 0s;
    t.create_again();
    const auto ids = t.insert_many(3, rated("k", 2));
    run(t, ids[0]);
    run(t, ids[1]);
    ASSERT_TRUE(t.gone(ids[0]));
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
    run(t, ids[2]);
    t.advance(kPeriod * 3);
    t.sweep_all();  // forgets what has no meaning any more
    t.advance(kPeriod * 3);
    EXPECT_EQ(t.sweep_all().next, Duration::max());
    EXPECT_EQ(t.state(t.insert(rated("k"))), State::kAvailable);
  });

  add("Rate_AReplacedJobIsHeldToTheRateOfItsNewArguments", [](StoreCase& t) {
    if (!t.traits().unique) GTEST_SKIP() << "the store has no unique keys";
    const auto unique = [](const char* key, OnConflict how) {
      NewJob job = rated(key);
      job.unique =
          Unique{"u", 0s, {State::kPending, State::kScheduled, State::kAvailable}, how};
      return job;
    };
    const auto insert = [&](const NewJob& job) {
      return must(std::move(t.store().insert({&job, 1}, kPatience)[0]));
    };
    run(t, t.insert(rated("one")));
    const JobId id = t.insert(unique("one", OnConflict::kSkip));
    EXPECT_EQ(t.state(id), State::kPending);
    const Inserted moved = insert(unique("two", OnConflict::kReplaceKeepTime));
    EXPECT_TRUE(moved.replaced);
    EXPECT_TRUE(moved.ticket.has_value());
    EXPECT_EQ(t.state(id), State::kAvailable) << "of that key none has begun";
    EXPECT_EQ(t.record(id).rate->key, "two");
    EXPECT_TRUE(insert(unique("one", OnConflict::kReplace)).replaced);
    EXPECT_EQ(t.state(id), State::kPending);
    EXPECT_EQ(t.state(t.insert(rated("two"))), State::kAvailable);
    NewJob without = unique("", OnConflict::kReplace);
    without.rate.reset();
    EXPECT_TRUE(insert(without).replaced);
    EXPECT_EQ(t.state(id), State::kAvailable);
    EXPECT_FALSE(t.record(id).rate.has_value());
  });

  add("Invariant9_RatesAreCountedOverRowsAfterACrash", [](StoreCase& t) {
    if (!t.traits().durable) GTEST_SKIP() << "the rows go with the process";
    const auto ids = t.insert_many(3, rated("k", 2));
    begin(t, ids[0]);
    t.reopen();
    begin(t, ids[1]);
    t.reopen();
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
  });
}

}  // namespace

void add_rate_cases(StoreCases& cases) {
  // Each says of itself that the store has no rates, rather than being left out.
  const Add add = [&](const char* name, StoreCases::Body body) {
    cases.add(name, [body = std::move(body)](StoreCase& t) {
      if (!t.traits().rates) GTEST_SKIP() << "the store counts no rates";
      body(t);
    });
  };
  add_window_cases(add);
  add_life_cases(add);
  add_rates_together_cases(add);

  cases.add("Rate_IsRefusedWhereTheStoreHasNone", [](StoreCase& t) {
    if (t.traits().rates) GTEST_SKIP() << "the store counts rates";
    const NewJob job = rated("k");
    const auto answers = t.store().insert({&job, 1}, kPatience);
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_FALSE(answers[0].has_value());
    EXPECT_EQ(answers[0].error().code, Code::kUnsupported);
  });
}

}  // namespace carrel::conformance
