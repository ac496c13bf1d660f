// A store that is its own queue: its claim_source must agree with claim and peek.
#include <carrel/clock.h>
#include <gmock/gmock.h>

#include <future>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using testing::UnorderedElementsAre;

std::vector<JobId> jobs_of(const std::vector<Claimed>& runs) {
  std::vector<JobId> ids;
  for (const Claimed& run : runs) ids.push_back(run.lease.id);
  return ids;
}

// Adds the case for stores that have a source, made before the body.
void add(StoreCases& cases, const char* name,
         std::function<void(StoreCase&, ClaimSource&)> body,
         const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  cases.add(
      name,
      [body = std::move(body)](StoreCase& t) {
        const auto source = t.store().claim_source();
        if (!source) GTEST_SKIP() << "store is not its own queue: no claim_source";
        body(t, *source);
      },
      file, line);
}

void add_order_cases(StoreCases& cases) {
  add(cases, "Source_HandsOutBestFirstAndNoMoreThanAsked",
      [](StoreCase& t, ClaimSource& source) {
        std::vector<JobId> ids;
        for (std::int16_t priority : {3, 0, -2, 0}) {
          NewJob job = t.job();
          job.priority = priority;
          ids.push_back(t.insert(job));
          t.advance(1ms);
        }
        const auto first = must(source.claim({{}, kWork, 3}, kWorker, 1, kLease, 0us));
        EXPECT_THAT(jobs_of(first), ElementsAre(ids[2], ids[1], ids[3]));
        const auto rest = must(source.claim({{}, kWork, 3}, kWorker, 2, kLease, 0us));
        EXPECT_THAT(jobs_of(rest), ElementsAre(ids[0]));
        EXPECT_THAT(must(source.claim({{}, kWork, 3}, kWorker, 3, kLease, 0us)),
                    SizeIs(0));
      });

  add(cases, "Source_AClaimIsAsStoreClaim", [](StoreCase& t, ClaimSource& source) {
    NewJob job = t.job("[7]");
    job.timeout = 5s;
    job.max_attempts = 3;
    const JobId id = t.insert(job);
    const auto runs = must(source.claim({{}, kWork, 1}, kWorker, 1, kLease, 0us));
    ASSERT_THAT(runs, SizeIs(1));
    EXPECT_EQ(runs[0].payload, "[7]");
    EXPECT_EQ(runs[0].timeout, 5s);
    EXPECT_EQ(runs[0].attempt, 1);
    EXPECT_EQ(runs[0].max_attempts, 3);
    const JobRecord r = t.record(id);
    EXPECT_EQ(r.state, State::kRunning);
    EXPECT_EQ(r.fence, runs[0].lease.fence);
    EXPECT_EQ(r.worker, kWorker);
    EXPECT_EQ(t.finish(runs[0]).kind, Finished::Kind::kApplied);
  });

  add(cases, "Source_TakesOnlyWhatTheDemandNames", [](StoreCase& t, ClaimSource& source) {
    NewJob other = t.job();
    other.kind = "other";
    t.insert(other);
    NewJob elsewhere = t.job();
    elsewhere.queue = "b";
    const JobId in_b = t.insert(elsewhere);
    const JobId in_default = t.insert(t.job());
    const std::vector<std::string> b = {"b"};
    EXPECT_THAT(must(source.claim({{}, {}, 9}, kWorker, 1, kLease, 0us)), SizeIs(0));
    EXPECT_THAT(jobs_of(must(source.claim({b, kWork, 9}, kWorker, 2, kLease, 0us))),
                ElementsAre(in_b));
    EXPECT_THAT(jobs_of(must(source.claim({{}, kWork, 9}, kWorker, 3, kLease, 0us))),
                ElementsAre(in_default));
    EXPECT_EQ(must(t.store().monitor().counts()).total[2], 1U) << "kind 'other' waits";
  });

  add(cases, "Source_SkipsPausedEarlyAndExpired", [](StoreCase& t, ClaimSource& source) {
    NewJob job = t.job();
    job.queue = "paused";
    t.insert(job);
    t.pause("paused");
    job = t.job();
    job.delay = 1h;
    t.insert(job);
    job = t.job();
    job.start_within = 1s;
    t.insert(job);
    t.advance(1s);
    const JobId good = t.insert(t.job());
    EXPECT_THAT(jobs_of(must(source.claim({{}, kWork, 9}, kWorker, 1, kLease, 0us))),
                ElementsAre(good));
  });
}

void add_lease_start_cases(StoreCases& cases) {
  add(cases, "Source_SaysSinceWhenALeaseLasts", [](StoreCase& t, ClaimSource& source) {
    t.insert(t.job());
    const Duration before = boot_time();
    const auto runs = must(source.claim({{}, kWork, 1}, kWorker, 1, kLease, 0us));
    ASSERT_THAT(runs, SizeIs(1));
    EXPECT_GE(runs[0].granted, before);
    EXPECT_LE(runs[0].granted, boot_time());
  });

  // A claim that has waited for this long has waited for most of it before its lease.
  add(cases, "Source_ItsWaitIsNoPartOfALease", [](StoreCase& t, ClaimSource& source) {
    constexpr Duration kWait = 1s;
    const Duration before = boot_time();
    auto waiting = std::async(std::launch::async, [&] {
      return source.claim({{}, kWork, 1}, kWorker, 1, kLease, kForever);
    });
    waiting.wait_for(kWait);
    t.insert(t.job());
    const auto runs = must(waiting.get());
    ASSERT_THAT(runs, SizeIs(1));
    EXPECT_GE(runs[0].granted - before, kWait / 2);
    EXPECT_LE(runs[0].granted, boot_time());
  });
}

void add_wake_cases(StoreCases& cases) {
  add(cases, "Source_AWaitEndsWhenAJobIsInserted", [](StoreCase& t, ClaimSource& source) {
    auto waiting = std::async(std::launch::async, [&] {
      return source.claim({{}, kWork, 1}, kWorker, 1, kLease, kForever);
    });
    const JobId id = t.insert(t.job());
    EXPECT_THAT(jobs_of(must(waiting.get())), ElementsAre(id));
  });

  add(cases, "Source_AWaitEndsWhenAJobFallsDueOrIsSetFree",
      [](StoreCase& t, ClaimSource& source) {
        NewJob later = t.job();
        later.delay = 10s;
        const JobId id = t.insert(later);
        auto waiting = std::async(std::launch::async, [&] {
          return source.claim({{}, kWork, 1}, kWorker, 1, kLease, kForever);
        });
        t.advance(10s);
        t.sweep();
        const auto runs = must(waiting.get());
        ASSERT_THAT(jobs_of(runs), ElementsAre(id));

        waiting = std::async(std::launch::async, [&] {
          return source.claim({{}, kWork, 1}, kWorker, 2, kLease, kForever);
        });
        t.finish(runs[0], Verdict::kReleased);
        EXPECT_THAT(jobs_of(must(waiting.get())), ElementsAre(id));
      });

  add(cases, "Source_AWaitEndsWhenAQueueIsResumed",
      [](StoreCase& t, ClaimSource& source) {
        const JobId id = t.insert(t.job());
        t.pause("default");
        auto waiting = std::async(std::launch::async, [&] {
          return source.claim({{}, kWork, 1}, kWorker, 1, kLease, kForever);
        });
        t.resume("default");
        EXPECT_THAT(jobs_of(must(waiting.get())), ElementsAre(id));
      });

  add(cases, "Source_InterruptWakesItForEver", [](StoreCase& t, ClaimSource& source) {
    auto waiting = std::async(std::launch::async, [&] {
      return source.claim({{}, kWork, 1}, kWorker, 1, kLease, kForever);
    });
    source.interrupt();
    EXPECT_THAT(must(waiting.get()), SizeIs(0));
    t.insert(t.job());
    EXPECT_THAT(must(source.claim({{}, kWork, 1}, kWorker, 2, kLease, kForever)),
                SizeIs(0))
        << "an interrupted source claims no more";
  });

  add(cases, "Source_TheStoresInterruptWakesItToo",
      [](StoreCase& t, ClaimSource& source) {
        auto waiting = std::async(std::launch::async, [&] {
          return source.claim({{}, kWork, 1}, kWorker, 1, kLease, kForever);
        });
        t.store().interrupt();
        waiting.get();  // comes back, whatever it says
      });
}

// Whatever is made for the first job and the first claim is there afterwards.
void warm(StoreCase& t, ClaimSource& source) {
  t.insert(t.job());
  for (const Claimed& run : must(source.claim({{}, kWork, 1}, kWorker, 1, kLease, 0us))) {
    t.finish(run);
  }
}

// A store may claim a job for who waits in the transaction that brings it; it waits, or
// looks just then, and there is no telling which.
void add_waiting_cases(StoreCases& cases) {
  add(cases, "Source_AClaimThatWaitsGetsAllOfTheJob",
      [](StoreCase& t, ClaimSource& source) {
        for (std::uint64_t number = 1; number <= 10; ++number) {
          auto waiting = std::async(std::launch::async, [&] {
            return source.claim({{}, kWork, 3}, kWorker, number, kLease, kForever);
          });
          waiting.wait_for(5ms);
          NewJob job = t.job("[" + std::to_string(number) + "]");
          job.queue = "a";
          job.priority = -4;
          job.timeout = 5s;
          job.max_attempts = 3;
          job.start_within = 1h;
          const JobId id = t.insert(job);
          const auto runs = must(waiting.get());
          ASSERT_THAT(jobs_of(runs), ElementsAre(id));
          const Claimed& run = runs[0];
          EXPECT_EQ(run.payload, job.payload);
          EXPECT_EQ(run.queue, "a");
          EXPECT_EQ(run.kind, "work");
          EXPECT_EQ(run.priority, -4);
          EXPECT_EQ(run.timeout, 5s);
          EXPECT_EQ(run.attempt, 1);
          EXPECT_EQ(run.max_attempts, 3);
          EXPECT_EQ(run.crashes, 0);
          const JobRecord r = t.record(id);
          EXPECT_EQ(r.state, State::kRunning);
          EXPECT_EQ(r.fence, run.lease.fence);
          EXPECT_EQ(r.worker, kWorker);
          EXPECT_EQ(r.attempt, 1);
          EXPECT_EQ(t.finish(run, Verdict::kRetry).kind, Finished::Kind::kApplied);
          t.sweep_all();
          const auto again =
              must(source.claim({{}, kWork, 3}, kWorker, 100 + number, kLease, 0us));
          ASSERT_THAT(jobs_of(again), ElementsAre(id));
          EXPECT_EQ(again[0].attempt, 2);
          EXPECT_GT(again[0].lease.fence, run.lease.fence);
          t.finish(again[0]);
          EXPECT_EQ(t.state(id), State::kCompleted);
        }
      });

  add(cases, "Source_TheLeaseOfWhatWasWaitedForEnds",
      [](StoreCase& t, ClaimSource& source) {
        warm(t, source);
        auto waiting = std::async(std::launch::async, [&] {
          return source.claim({{}, kWork, 1}, kWorker, 2, kLease, kForever);
        });
        waiting.wait_for(20ms);
        const JobId id = t.insert(t.job());
        const auto runs = must(waiting.get());
        ASSERT_THAT(runs, SizeIs(1));
        EXPECT_EQ(t.beat(runs[0].lease), Pulse::kAlive);
        t.advance(kLease + 1s);
        EXPECT_EQ(t.sweep_all().rescued, 1U);
        EXPECT_NE(t.state(id), State::kRunning);
        EXPECT_EQ(t.finish(runs[0]).kind, Finished::Kind::kStale);
      });

  add(cases, "Source_WhatWasWaitedForIsFreedByASettledBeatThatDoesNotNameIt",
      [](StoreCase& t, ClaimSource& source) {
        warm(t, source);
        auto waiting = std::async(std::launch::async, [&] {
          return source.claim({{}, kWork, 1}, kWorker, 3, kLease, kForever);
        });
        waiting.wait_for(20ms);
        const JobId id = t.insert(t.job());
        ASSERT_THAT(must(waiting.get()), SizeIs(1));
        must(t.store().beat(kWorker, 2, {}, false, kLease));
        EXPECT_EQ(t.state(id), State::kRunning) << "its claim is not settled";
        must(t.store().beat(kWorker, 3, {}, false, kLease));
        EXPECT_EQ(t.state(id), State::kAvailable);
      });

  add(cases, "Source_WhoWaitsGetsNothingOfAPausedQueue",
      [](StoreCase& t, ClaimSource& source) {
        warm(t, source);
        auto waiting = std::async(std::launch::async, [&] {
          return source.claim({{}, kWork, 1}, kWorker, 2, kLease, kForever);
        });
        waiting.wait_for(20ms);
        t.pause("default");
        const JobId held = t.insert(t.job());
        EXPECT_EQ(t.state(held), State::kAvailable);
        NewJob job = t.job();
        job.queue = "b";
        const JobId other = t.insert(job);
        EXPECT_THAT(jobs_of(must(waiting.get())), ElementsAre(other));
        EXPECT_EQ(t.state(held), State::kAvailable);
      });
}

void add_lost_answer_cases(StoreCases& cases) {
  add(cases, "Source_ALostAnswerIsFreedByTheNextSettledBeat",
      [](StoreCase& t, ClaimSource& source) {
        const JobId lost = t.insert(t.job());
        must(source.claim({{}, kWork, 1}, kWorker, 1, kLease, 0us));
        const JobId kept = t.insert(t.job());
        const auto runs = must(source.claim({{}, kWork, 1}, kWorker, 2, kLease, 0us));
        ASSERT_THAT(jobs_of(runs), ElementsAre(kept));
        Beat beat;
        beat.lease = runs[0].lease;
        EXPECT_THAT(must(t.store().beat(kWorker, 2, {&beat, 1}, false, kLease)),
                    ElementsAre(Pulse::kAlive));
        EXPECT_EQ(t.state(lost), State::kAvailable);
        EXPECT_EQ(t.record(lost).attempt, 0);
        EXPECT_THAT(jobs_of(must(source.claim({{}, kWork, 9}, kWorker, 3, kLease, 0us))),
                    UnorderedElementsAre(lost));
      });
}

}  // namespace

void add_source_cases(StoreCases& cases) {
  add_order_cases(cases);
  add_lease_start_cases(cases);
  add_wake_cases(cases);
  add_waiting_cases(cases);
  add_lost_answer_cases(cases);
}

}  // namespace carrel::conformance
