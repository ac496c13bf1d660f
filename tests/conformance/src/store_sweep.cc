#include <gmock/gmock.h>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using testing::UnorderedElementsAreArray;

void add_due_cases(StoreCases& cases) {
  cases.add("Sweep_ScheduledAndRetryableFallDueAndNotBefore", [](StoreCase& t) {
    NewJob later = t.job();
    later.delay = 10s;
    later.priority = 4;
    const JobId scheduled = t.insert(later);
    const Claimed run = t.insert_and_claim();
    t.finish(run, Verdict::kRetry, 20s);
    if (t.slack() == 0us) {
      t.advance(10s - 1us);
      EXPECT_THAT(t.sweep().due, SizeIs(0));
      t.advance(1us);
    } else {
      t.advance(10s);
    }
    const Swept first = t.sweep_all();
    ASSERT_THAT(ids_of(first.due), testing::Contains(scheduled));
    EXPECT_EQ(first.due[0].queue, "default");
    EXPECT_EQ(first.due[0].kind, "work");
    EXPECT_EQ(first.due[0].priority, 4);
    t.advance(10s);
    t.sweep_all();
    EXPECT_EQ(t.state(scheduled), State::kAvailable);
    EXPECT_EQ(t.state(run.lease.id), State::kAvailable);
    EXPECT_THAT(t.sweep().due, SizeIs(0)) << "each falls due once";
  });

  cases.add("Sweep_NeverAdvancesMoreThanMax", [](StoreCase& t) {
    NewJob later = t.job();
    later.delay = 1s;
    const auto ids = t.insert_many(7, later);
    t.advance(1s);
    std::vector<JobId> seen;
    for (const std::size_t expected : {3U, 3U, 1U}) {
      const auto due = ids_of(t.sweep(3).due);
      EXPECT_THAT(due, SizeIs(expected));
      seen.insert(seen.end(), due.begin(), due.end());
    }
    EXPECT_THAT(seen, UnorderedElementsAreArray(ids));
    EXPECT_THAT(t.sweep(0).due, SizeIs(0));
  });

  cases.add("Sweep_NextIsWhenTheNextRowFallsDue", [](StoreCase& t) {
    EXPECT_EQ(t.sweep().next, Duration::max()) << "none is waiting";
    NewJob later = t.job();
    later.delay = 90s;
    t.insert(later);
    EXPECT_GE(t.sweep().next, 90s - t.slack());
    EXPECT_LE(t.sweep().next, 90s);
    later.delay = 30s;
    t.insert(later);
    EXPECT_GE(t.sweep().next, 30s - t.slack());
    EXPECT_LE(t.sweep().next, 30s);
    t.advance(30s);
    EXPECT_LE(t.sweep().next, 60s) << "what is left after this sweep";
  });

  cases.add("Sweep_NextIsNowWhileMoreIsDue", [](StoreCase& t) {
    NewJob later = t.job();
    later.delay = 1s;
    t.insert_many(3, later);
    t.advance(1s);
    EXPECT_LE(t.sweep(2).next, 0us) << "one more is due, so there is no time to wait";
  });
}

void add_rescue_cases(StoreCases& cases) {
  cases.add("Invariant6_ALostRunIsFoundAgain", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    EXPECT_LE(t.sweep().next, kLease) << "a running row has its wake_at";
    if (t.slack() == 0us) {
      t.advance(kLease - 1us);
      EXPECT_EQ(t.sweep().rescued, 0U);
      t.advance(1us);
    } else {
      t.advance(kLease);
    }
    const Swept swept = t.sweep();
    EXPECT_EQ(swept.rescued, 1U);
    EXPECT_EQ(swept.discarded, 0U);
    EXPECT_THAT(ids_of(swept.due), ElementsAre(run.lease.id));
    const JobRecord r = t.record(run.lease.id);
    EXPECT_EQ(r.state, State::kAvailable);
    EXPECT_EQ(r.fence, run.lease.fence);
    EXPECT_GT(value(t.claim(run.lease.id).lease.fence), value(run.lease.fence));
  });

  cases.add("Invariant7_AJobThatKillsItsWorkerRunsOutOfAttempts", [](StoreCase& t) {
    NewJob job = t.job();
    job.max_attempts = 3;
    const JobId id = t.insert(job);
    for (int i = 1; i <= 3; ++i) {
      EXPECT_EQ(t.claim(id).attempt, i);
      t.advance(kLease);
      const Swept swept = t.sweep();
      EXPECT_EQ(swept.discarded, i == 3 ? 1U : 0U);
      EXPECT_THAT(swept.due, SizeIs(i == 3 ? 0 : 1));
    }
    const JobRecord r = t.record(id);
    EXPECT_EQ(r.state, State::kDiscarded);
    EXPECT_TRUE(r.ended.has_value());
    EXPECT_FALSE(t.claim_answer(id).has_value());
  });

  cases.add("Sweep_WhatADeadWorkerCannotTellIsInTheHistory", [](StoreCase& t) {
    NewJob job = t.job();
    job.max_attempts = 2;
    const JobId id = t.insert(job);
    const JobId unwanted = t.insert(job);
    std::vector<Fence> fences;
    for (int i = 0; i < 2; ++i) {
      fences.push_back(t.claim(id, "w-dead").lease.fence);
      if (i == 0) {
        t.claim(unwanted, "w-dead");
        ASSERT_TRUE(t.store().cancel({&unwanted, 1}));
      }
      t.advance(kLease);
      t.sweep_all();
    }
    const JobRecord r = t.record(id);
    EXPECT_EQ(r.state, State::kDiscarded);
    ASSERT_THAT(r.attempts, SizeIs(2));
    for (int i = 0; i < 2; ++i) {
      const Attempt& lost = r.attempts[i];
      EXPECT_EQ(lost.klass, OutcomeClass::kWorkerLost);
      EXPECT_EQ(lost.attempt, i + 1);
      EXPECT_EQ(lost.fence, fences[i]);
      EXPECT_EQ(lost.worker, "w-dead");
      EXPECT_THAT(lost.message, testing::HasSubstr("w-dead"));
      EXPECT_GE(lost.ended, lost.started + kLease - t.slack());
    }
    EXPECT_EQ(t.state(unwanted), State::kCancelled);
    EXPECT_THAT(t.record(unwanted).attempts, SizeIs(1));
  });

  cases.add("Sweep_ARescueForgetsStartWithin", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 1s;
    const Claimed run = t.insert_and_claim(brief);
    t.advance(kLease + 1h);
    EXPECT_EQ(t.sweep().rescued, 1U);
    t.sweep_all();
    EXPECT_TRUE(t.claim_answer(run.lease.id).has_value()) << "it was started in time";
  });

  cases.add("Sweep_WhatWasReleasedStillExpires", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 10s;
    ASSERT_EQ(t.finish(t.insert_and_claim(brief), Verdict::kReleased).state,
              State::kAvailable);
    t.advance(10s);
    EXPECT_EQ(t.sweep_all().discarded, 1U) << "nobody has begun it";
  });

  cases.add("Sweep_AnInterruptionForgetsStartWithinAsARescueDoes", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 10s;
    const Claimed run = t.insert_and_claim(brief);
    t.advance(kLease / 2);
    ASSERT_EQ(t.finish(run, Verdict::kInterrupted).state, State::kAvailable);
    t.advance(1h);
    EXPECT_EQ(t.sweep_all().discarded, 0U) << "a stopped worker had started it in time";
    EXPECT_EQ(t.record(run.lease.id).expires, std::nullopt);
    EXPECT_TRUE(t.claim_answer(run.lease.id).has_value());
  });
}

void add_expiry_cases(StoreCases& cases) {
  cases.add("Sweep_AJobNotStartedInTimeIsDiscarded", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 10s;
    const JobId available = t.insert(brief);
    brief.delay = 5s;
    const JobId scheduled = t.insert(brief);
    EXPECT_LE(t.sweep().next, 10s) << "an expiry is waited for";
    if (t.slack() == 0us) {
      t.advance(10s - 1us);
      t.sweep_all();
      EXPECT_EQ(t.state(available), State::kAvailable);
      t.advance(1us);
    } else {
      t.advance(10s);
    }
    t.sweep_all();
    EXPECT_EQ(t.state(available), State::kDiscarded);
    EXPECT_TRUE(t.record(available).ended.has_value());
    if (t.slack() == 0us) {
      EXPECT_EQ(t.state(scheduled), State::kAvailable);
    }
    t.advance(5s);
    EXPECT_EQ(t.sweep_all().discarded, 1U);
    EXPECT_EQ(t.state(scheduled), State::kDiscarded) << "10 s after it fell due";
    EXPECT_EQ(t.record(scheduled).attempt, 0);
  });

  cases.add("Sweep_AJobThatWasStartedDoesNotExpire", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 10s;
    const Claimed run = t.insert_and_claim(brief);
    t.finish(run, Verdict::kRetry, 1h);
    t.advance(1h);
    t.sweep_all();
    EXPECT_EQ(t.state(run.lease.id), State::kAvailable);
    t.advance(1h);
    t.sweep_all();
    EXPECT_EQ(t.state(run.lease.id), State::kAvailable) << "retries have no expiry";
  });
}

void add_purge_cases(StoreCases& cases) {
  cases.add("Sweep_PurgesEachStateAfterItsOwnTime", [](StoreCase& t) {
    t.options().retention.completed = 10s;
    t.options().retention.cancelled = 20s;
    t.options().retention.discarded = 30s;
    t.create_again();
    const Claimed a = t.insert_and_claim();
    const Claimed b = t.insert_and_claim();
    const Claimed c = t.insert_and_claim();
    const JobId waiting = t.insert(t.job());
    t.finish(a);
    t.finish(b, Verdict::kCancelled);
    t.finish(c, Verdict::kDiscarded);
    const std::vector<JobId> order = {a.lease.id, b.lease.id, c.lease.id};
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_FALSE(t.gone(order[i]));
      t.advance(10s);
      t.sweep_all();
      EXPECT_TRUE(t.gone(order[i])) << i;
    }
    EXPECT_EQ(t.state(waiting), State::kAvailable) << "what is not final is never purged";
  });

  cases.add("Sweep_CountsWhatItPurges", [](StoreCase& t) {
    t.options().retention.completed = 10s;
    t.create_again();
    for (int i = 0; i < 5; ++i) t.finish(t.insert_and_claim());
    t.advance(10s);
    EXPECT_EQ(t.sweep_all().purged, 5U);
    EXPECT_EQ(t.sweep_all().purged, 0U);
    EXPECT_THAT(must(t.store().monitor().list({}, JobId{}, 100)), SizeIs(0));
  });

  cases.add("Sweep_KeepsAboutMaxRowsOfTheNewestFinalRows", [](StoreCase& t) {
    t.options().retention.max_rows = 50;
    t.create_again();
    const JobId waiting = t.insert(t.job());
    JobId newest{};
    for (int i = 0; i < 200; ++i) {
      const Claimed run = t.insert_and_claim();
      newest = run.lease.id;
      t.finish(run);
      t.advance(1ms);
    }
    t.sweep_all();
    const Counts counts = must(t.store().monitor().counts());
    const auto completed = counts.total[static_cast<std::size_t>(State::kCompleted)];
    EXPECT_LE(completed, 100U) << "about 50";
    EXPECT_GE(completed, 25U);
    EXPECT_EQ(t.state(newest), State::kCompleted) << "the oldest go first";
    EXPECT_EQ(t.state(waiting), State::kAvailable);
  });

  cases.add("Sweep_AnIdIsNotUsedAgainAfterAPurge", [](StoreCase& t) {
    t.options().retention.completed = 1s;
    t.create_again();
    const Claimed run = t.insert_and_claim();
    t.finish(run);
    t.advance(1s);
    t.sweep_all();
    ASSERT_TRUE(t.gone(run.lease.id));
    const JobId next = t.insert(t.job());
    EXPECT_GT(value(next), value(run.lease.id));
  });
}

}  // namespace

void add_sweep_cases(StoreCases& cases) {
  add_due_cases(cases);
  add_rescue_cases(cases);
  add_expiry_cases(cases);
  add_purge_cases(cases);
}

}  // namespace carrel::conformance
