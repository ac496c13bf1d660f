// A store that is its own queue: its claim_source must agree with claim and peek.
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
  add_wake_cases(cases);
  add_lost_answer_cases(cases);
}

}  // namespace carrel::conformance
