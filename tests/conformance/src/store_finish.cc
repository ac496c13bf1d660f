#include <gmock/gmock.h>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::SizeIs;
using Kind = Finished::Kind;

void add_verdict_cases(StoreCases& cases) {
  cases.add("Finish_CompletedKeepsItsResult", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    Finish done = t.finish_of(run.lease);
    done.result = std::string("r\0\xff\xfe", 4);
    const Finished answer = t.finish(done);
    EXPECT_EQ(answer.kind, Kind::kApplied);
    EXPECT_EQ(answer.state, State::kCompleted);
    const JobRecord r = t.record(run.lease.id);
    EXPECT_EQ(r.state, State::kCompleted);
    EXPECT_EQ(r.result, done.result);
    EXPECT_TRUE(r.ended.has_value());
  });

  cases.add("Finish_AResultOfOneMebibyte", [](StoreCase& t) {
    if (t.traits().max_payload != 0 && t.traits().max_payload < (1U << 20)) {
      GTEST_SKIP() << "store's max_payload is " << t.traits().max_payload;
    }
    const Claimed run = t.insert_and_claim();
    Finish done = t.finish_of(run.lease);
    done.result.assign(1 << 20, '\0');
    done.result[77] = 'x';
    t.finish(done);
    EXPECT_TRUE(t.record(run.lease.id).result == done.result);
  });

  cases.add("Finish_RetryWaitsForItsBackOff", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    const Finished answer = t.finish(run, Verdict::kRetry, 20s);
    EXPECT_EQ(answer.kind, Kind::kApplied);
    EXPECT_EQ(answer.state, State::kRetryable);
    const JobRecord r = t.record(run.lease.id);
    EXPECT_EQ(r.state, State::kRetryable);
    EXPECT_EQ(r.attempt, 1);
    EXPECT_FALSE(r.ended.has_value());
    if (t.slack() == 0us) {
      t.advance(20s - 1us);
      EXPECT_THAT(t.sweep().due, SizeIs(0));
    }
    t.advance(20s);
    t.sweep_all();
    EXPECT_EQ(t.state(run.lease.id), State::kAvailable);
    EXPECT_EQ(t.claim(run.lease.id).attempt, 2);
  });

  cases.add("Finish_RetryOfTheLastAttemptIsDiscarded", [](StoreCase& t) {
    NewJob job = t.job();
    job.max_attempts = 2;
    const Claimed first = t.insert_and_claim(job);
    EXPECT_EQ(t.finish(first, Verdict::kRetry).state, State::kRetryable);
    t.sweep_all();
    const Claimed last = t.claim(first.lease.id);
    const Finished answer = t.finish(last, Verdict::kRetry);
    EXPECT_EQ(answer.kind, Kind::kApplied);
    EXPECT_EQ(answer.state, State::kDiscarded);
    EXPECT_EQ(t.state(first.lease.id), State::kDiscarded);
    EXPECT_TRUE(t.record(first.lease.id).ended.has_value());
  });

  cases.add("Finish_DiscardedAndCancelledAreFinal", [](StoreCase& t) {
    const Claimed a = t.insert_and_claim();
    const Claimed b = t.insert_and_claim();
    EXPECT_EQ(t.finish(a, Verdict::kDiscarded).state, State::kDiscarded);
    EXPECT_EQ(t.finish(b, Verdict::kCancelled).state, State::kCancelled);
    EXPECT_EQ(t.state(a.lease.id), State::kDiscarded);
    EXPECT_EQ(t.state(b.lease.id), State::kCancelled);
  });

  cases.add("Finish_SnoozeCostsNoAttempt", [](StoreCase& t) {
    NewJob job = t.job();
    job.max_attempts = 1;
    const Claimed run = t.insert_and_claim(job);
    EXPECT_EQ(t.finish(run, Verdict::kSnoozed, 30s).state, State::kScheduled);
    EXPECT_EQ(t.record(run.lease.id).attempt, 0);
    t.advance(30s);
    t.sweep_all();
    const Claimed again = t.claim(run.lease.id);
    EXPECT_EQ(again.attempt, 1);
    EXPECT_GT(value(again.lease.fence), value(run.lease.fence));
  });

  cases.add("Finish_ReleaseCostsNoAttemptAndIsAvailableAtOnce", [](StoreCase& t) {
    for (const Verdict verdict : {Verdict::kReleased, Verdict::kInterrupted}) {
      const Claimed run = t.insert_and_claim();
      EXPECT_EQ(t.finish(run, verdict).state, State::kAvailable);
      const JobRecord r = t.record(run.lease.id);
      EXPECT_EQ(r.state, State::kAvailable);
      EXPECT_EQ(r.attempt, 0);
      EXPECT_THAT(ids_of(t.peek()), testing::Contains(run.lease.id));
    }
  });

  cases.add("Finish_ACancelThatWasAskedForEndsRetrySnoozeAndRelease", [](StoreCase& t) {
    for (Verdict verdict : {Verdict::kRetry, Verdict::kSnoozed, Verdict::kReleased,
                            Verdict::kInterrupted}) {
      const Claimed run = t.insert_and_claim();
      t.cancel(run.lease.id);
      EXPECT_EQ(t.finish(run, verdict, 5s).state, State::kCancelled)
          << "verdict " << static_cast<int>(verdict);
      EXPECT_EQ(t.state(run.lease.id), State::kCancelled);
    }
    const Claimed run = t.insert_and_claim();
    t.cancel(run.lease.id);
    EXPECT_EQ(t.finish(run).state, State::kCompleted) << "it was done before it heard";
  });
}

void add_fence_cases(StoreCases& cases) {
  cases.add("Invariant3_AWriteAfterTheLeaseIsStale", [](StoreCase& t) {
    const Claimed zombie = t.insert_and_claim();
    t.advance(kLease + 1s);
    t.sweep();
    Finish late = t.finish_of(zombie.lease);
    late.result = "zombie";
    late.log = "zombie\n";
    late.checkpoint = "zombie";
    late.attempt = Attempt{};
    EXPECT_EQ(t.finish(late).kind, Kind::kStale) << "it is available again";
    const Claimed second = t.claim(zombie.lease.id, "worker-2");
    for (Verdict verdict :
         {Verdict::kCompleted, Verdict::kRetry, Verdict::kDiscarded, Verdict::kCancelled,
          Verdict::kSnoozed, Verdict::kReleased, Verdict::kInterrupted}) {
      late.verdict = verdict;
      EXPECT_EQ(t.finish(late).kind, Kind::kStale);
    }
    const JobRecord r = t.record(zombie.lease.id);
    EXPECT_EQ(r.state, State::kRunning);
    EXPECT_EQ(r.worker, "worker-2");
    EXPECT_EQ(r.fence, second.lease.fence);
    EXPECT_EQ(r.result, "");
    EXPECT_EQ(r.log.find("zombie"), std::string::npos);
    EXPECT_EQ(r.checkpoint, "");
    EXPECT_EQ(t.finish(second).kind, Kind::kApplied);
    EXPECT_EQ(t.finish(late).kind, Kind::kStale) << "also when it is final";
  });

  cases.add("Invariant3_AFenceThatWasNeverGrantedIsStale", [](StoreCase& t) {
    const JobId waiting = t.insert(t.job());
    EXPECT_EQ(t.finish(t.finish_of({waiting, Fence{0}})).kind, Kind::kStale);
    EXPECT_EQ(t.finish(t.finish_of({waiting, Fence{1}})).kind, Kind::kStale);
    const Claimed run = t.insert_and_claim();
    const Fence ahead{value(run.lease.fence) + 1};
    EXPECT_EQ(t.finish(t.finish_of({run.lease.id, ahead})).kind, Kind::kStale);
    EXPECT_EQ(t.finish(t.finish_of({JobId{5'555}, Fence{1}})).kind, Kind::kStale);
    EXPECT_EQ(t.state(waiting), State::kAvailable);
    EXPECT_EQ(t.state(run.lease.id), State::kRunning);
  });

  cases.add("Finish_TheSameFinishAgainIsAlready", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    Finish done = t.finish_of(run.lease);
    done.result = "1";
    done.attempt = Attempt{};
    done.log = "line\n";
    EXPECT_EQ(t.finish(done).kind, Kind::kApplied);
    done.result = "2";
    EXPECT_EQ(t.finish(done).kind, Kind::kAlready);
    const JobRecord r = t.record(run.lease.id);
    EXPECT_EQ(r.result, "1");
    EXPECT_EQ(r.log, "line\n");
    EXPECT_THAT(r.attempts, SizeIs(1));
  });

  cases.add("Finish_ARepeatedRetryIsAlreadyAndCountsOnce", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    Finish retry = t.finish_of(run.lease, Verdict::kRetry, 0us);
    retry.crashed = true;
    EXPECT_EQ(t.finish(retry).kind, Kind::kApplied);
    EXPECT_EQ(t.finish(retry).kind, Kind::kAlready);
    t.sweep_all();
    EXPECT_EQ(t.finish(retry).kind, Kind::kAlready) << "also when available again";
    EXPECT_EQ(t.record(run.lease.id).crashes, 1);
    const Claimed second = t.claim(run.lease.id);
    EXPECT_NE(t.finish(retry).kind, Kind::kApplied) << "and never under another fence";
    EXPECT_EQ(t.state(run.lease.id), State::kRunning);
    EXPECT_EQ(t.finish(second).kind, Kind::kApplied);
  });

  cases.add("Finish_ALeaseThatEndedButWasNotTakenStillHolds", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.advance(kLease * 3);
    EXPECT_EQ(t.finish(run).kind, Kind::kApplied)
        << "the guard is (id, fence, running), not the time";
  });
}

void add_batch_cases(StoreCases& cases) {
  cases.add("Finish_AnswersAlignInABatch", [](StoreCase& t) {
    const Claimed a = t.insert_and_claim();
    const Claimed b = t.insert_and_claim();
    const Claimed c = t.insert_and_claim();
    t.finish(b);
    const Finish batch[] = {t.finish_of(c.lease), t.finish_of(b.lease),
                            t.finish_of({a.lease.id, Fence{999}}), t.finish_of(a.lease)};
    auto answers = t.store().finish(batch);
    ASSERT_THAT(answers, SizeIs(4));
    EXPECT_EQ(must(answers[0]).kind, Kind::kApplied);
    EXPECT_EQ(must(answers[1]).kind, Kind::kAlready);
    EXPECT_EQ(must(answers[2]).kind, Kind::kStale);
    EXPECT_EQ(must(answers[3]).kind, Kind::kApplied);
    EXPECT_THAT(t.store().finish({}), SizeIs(0));
  });

  cases.add("Finish_OneRunTwiceInABatchIsAppliedOnce", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    const Finish batch[] = {t.finish_of(run.lease), t.finish_of(run.lease)};
    auto answers = t.store().finish(batch);
    ASSERT_THAT(answers, SizeIs(2));
    EXPECT_EQ(must(answers[0]).kind, Kind::kApplied);
    EXPECT_EQ(must(answers[1]).kind, Kind::kAlready);
  });

  cases.add("Finish_ARowThatIsTooLargeFailsAlone", [](StoreCase& t) {
    const auto limit = t.traits().max_payload;
    if (limit == 0) GTEST_SKIP() << "store has no max_payload";
    if (limit > (64U << 20)) GTEST_SKIP() << "store's max_payload is above 64 MiB";
    const Claimed big = t.insert_and_claim();
    const Claimed small = t.insert_and_claim();
    Finish batch[] = {t.finish_of(big.lease), t.finish_of(small.lease)};
    batch[0].result.assign(limit + 1, 'x');
    auto answers = t.store().finish(batch);
    ASSERT_THAT(answers, SizeIs(2));
    ASSERT_FALSE(answers[0].has_value());
    EXPECT_EQ(answers[0].error().code, Code::kTooLarge);
    EXPECT_EQ(must(answers[1]).kind, Kind::kApplied);
    EXPECT_EQ(t.state(big.lease.id), State::kRunning);
    EXPECT_EQ(t.finish(big, Verdict::kDiscarded).kind, Kind::kApplied)
        << "the run is still ours to end";
  });

  cases.add("Finish_ACheckpointThatIsTooLargeIsLeftOut", [](StoreCase& t) {
    const auto limit = t.traits().max_payload;
    if (limit == 0) GTEST_SKIP() << "store has no max_payload";
    if (limit > (64U << 20)) GTEST_SKIP() << "store's max_payload is above 64 MiB";
    const Claimed done = t.insert_and_claim();
    const Claimed failed = t.insert_and_claim();
    const Claimed other = t.insert_and_claim();
    Finish batch[] = {t.finish_of(done.lease), t.finish_of(failed.lease, Verdict::kRetry),
                      t.finish_of(other.lease)};
    batch[0].result = "7";
    batch[0].checkpoint.emplace(limit + 1, 'x');
    batch[1].checkpoint.emplace(limit + 1, 'y');
    batch[1].log = "a\n";
    auto answers = t.store().finish(batch);
    ASSERT_THAT(answers, SizeIs(3));
    for (auto& answer : answers) EXPECT_EQ(must(answer).kind, Kind::kApplied);
    const JobRecord r = t.record(done.lease.id);
    EXPECT_EQ(r.state, State::kCompleted);
    EXPECT_EQ(r.result, "7");
    EXPECT_TRUE(r.checkpoint.empty());
    EXPECT_EQ(t.state(failed.lease.id), State::kRetryable);
    EXPECT_EQ(t.record(failed.lease.id).log, "a\n");
    EXPECT_EQ(t.state(other.lease.id), State::kCompleted);
  });

  cases.add("Finish_TextThatIsNotUtf8HoldsUpNobody", [](StoreCase& t) {
    const Claimed odd = t.insert_and_claim();
    const Claimed plain = t.insert_and_claim();
    Finish batch[] = {t.finish_of(odd.lease, Verdict::kRetry), t.finish_of(plain.lease)};
    batch[0].attempt = Attempt{};
    batch[0].attempt->message = "bad \xff\xfe byte";
    batch[0].attempt->stderr_tail = std::string("\0\x80", 2);
    batch[0].log = "\xc3\x28\n";
    batch[0].progress = Progress{0.5F, "\xf0\x28"};
    auto answers = t.store().finish(batch);
    ASSERT_THAT(answers, SizeIs(2));
    EXPECT_EQ(must(answers[1]).kind, Kind::kApplied);
    if (!answers[0].has_value()) {
      EXPECT_NE(answers[0].error().code, Code::kUnavailable)
          << "asking again cannot mend it";
    } else {
      EXPECT_EQ(t.state(odd.lease.id), State::kRetryable);
      EXPECT_THAT(t.record(odd.lease.id).attempts, SizeIs(1));
    }
  });

  cases.add("Finish_CarriesTheLastProgressCheckpointAndLog", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    Finish retry = t.finish_of(run.lease, Verdict::kRetry);
    retry.progress = Progress{0.75F, "nearly"};
    retry.checkpoint = "row 9";
    retry.log = "a\nb\n";
    t.finish(retry);
    const JobRecord r = t.record(run.lease.id);
    ASSERT_TRUE(r.progress.has_value());
    EXPECT_FLOAT_EQ(r.progress->fraction, 0.75F);
    EXPECT_EQ(r.checkpoint, "row 9");
    EXPECT_EQ(r.log, "a\nb\n");
  });
}

void add_retention_cases(StoreCases& cases) {
  cases.add("Finish_WithoutRetentionTheRowGoesAtOnce", [](StoreCase& t) {
    t.options().retention.completed = 0us;
    t.create_again();
    const Claimed kept = t.insert_and_claim();
    const Claimed run = t.insert_and_claim();
    EXPECT_EQ(t.finish(run).kind, Kind::kApplied);
    EXPECT_TRUE(t.gone(run.lease.id));
    EXPECT_EQ(t.finish(kept, Verdict::kDiscarded).kind, Kind::kApplied);
    EXPECT_EQ(t.state(kept.lease.id), State::kDiscarded) << "kept for its own time";
    EXPECT_NE(t.finish(run).kind, Kind::kApplied);
  });
}

}  // namespace

void add_finish_cases(StoreCases& cases) {
  add_verdict_cases(cases);
  add_fence_cases(cases);
  add_batch_cases(cases);
  add_retention_cases(cases);
}

}  // namespace carrel::conformance
