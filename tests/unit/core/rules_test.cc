// The transition rules, case by case. tests/model searches their interleavings.
#include <carrel/rules.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>

namespace carrel::rules {
namespace {

using namespace std::chrono_literals;

constexpr Time kNow{Duration{1'700'000'000'000'000}};
constexpr Duration kLease = 30s;
const Retention kKeep{.completed = 1h, .cancelled = 2h, .discarded = 3h};

Row available(std::uint16_t max_attempts = 3) {
  return admit(kNow, 0s, 0s, max_attempts);
}

Row running(std::uint16_t max_attempts = 3) {
  Row row = available(max_attempts);
  EXPECT_FALSE(claim(row, WorkerId("w1"), 1, kLease, kNow));
  return row;
}

Finished::Kind finish(Row& row, Verdict verdict, Duration retry_in = 0s,
                      bool crashed = false) {
  return finish(row, row.fence, verdict, retry_in, crashed, kKeep, kNow);
}

bool equal(const Row& a, const Row& b) {
  return a.state == b.state && a.cancel_requested == b.cancel_requested &&
         a.attempt == b.attempt && a.max_attempts == b.max_attempts &&
         a.crashes == b.crashes && a.fence == b.fence &&
         a.finished_fence == b.finished_fence && a.wake_at == b.wake_at &&
         a.expires_at == b.expires_at && a.claim_number == b.claim_number &&
         a.worker == b.worker;
}

TEST(WorkerId, CopiesShareOneText) {
  const WorkerId id("w1");
  const Row row = running();
  const Row copy = row;
  EXPECT_EQ(&copy.worker.text(), &row.worker.text());
  EXPECT_TRUE(row.worker == id);
  EXPECT_FALSE(row.worker == WorkerId("w2"));
  EXPECT_TRUE(WorkerId("") == WorkerId());
  EXPECT_TRUE(WorkerId() == "");
}

TEST(Replace, WhatWaitsFallsDueAnew) {
  Row row = running();
  EXPECT_EQ(finish(row, Verdict::kRetry, 1h, true), Finished::Kind::kApplied);
  EXPECT_TRUE(replace(row, OnConflict::kReplace, kNow, 10s, 5s));
  EXPECT_EQ(row.state, State::kScheduled);
  EXPECT_EQ(row.wake_at, kNow + 10s);
  EXPECT_EQ(row.expires_at, kNow + 15s);
  EXPECT_EQ(row.attempt, 1) << "it counts on";
  EXPECT_EQ(row.crashes, 1);
  EXPECT_EQ(value(row.fence), 1U);
  EXPECT_TRUE(replace(row, OnConflict::kReplace, kNow, 0s, 0s));
  EXPECT_EQ(row.state, State::kAvailable);
  EXPECT_EQ(row.wake_at, kNever);
}

TEST(Replace, KeepsTheTimeWhereThatIsAsked) {
  Row row = admit(kNow, 10s, 5s, 1);
  const Row before = row;
  EXPECT_TRUE(replace(row, OnConflict::kReplaceKeepTime, kNow, 0s, 0s));
  EXPECT_TRUE(equal(row, before));
  Row pending = available();
  EXPECT_TRUE(hold(pending));
  EXPECT_TRUE(replace(pending, OnConflict::kReplaceKeepTime, kNow, 1h, 0s));
  EXPECT_EQ(pending.state, State::kAvailable) << "its store looks again at what holds it";
}

TEST(Replace, WhatRunsOrIsFinalStaysAsItIs) {
  Row row = running();
  for (const bool final : {false, true}) {
    if (final) finish(row, Verdict::kCompleted);
    const Row before = row;
    EXPECT_FALSE(replace(row, OnConflict::kReplace, kNow, 0s, 0s));
    EXPECT_TRUE(equal(row, before));
  }
}

TEST(Meets, AStateOfThoseNamedWithinThePeriod) {
  Unique unique{"k", 10s, {State::kRunning, State::kCompleted}, OnConflict::kSkip};
  EXPECT_TRUE(meets(unique, State::kRunning, kNow, kNow + 10s - 1us));
  EXPECT_FALSE(meets(unique, State::kRunning, kNow, kNow + 10s));
  EXPECT_FALSE(meets(unique, State::kAvailable, kNow, kNow));
  EXPECT_EQ(unique_until(unique, kNow), kNow + 10s);
  unique.period = 0s;
  EXPECT_TRUE(meets(unique, State::kCompleted, kNow, kNow + 24h * 365));
  EXPECT_EQ(unique_until(unique, kNow), kNow) << "no longer than its job is kept";
  unique.period = Duration::max();
  EXPECT_TRUE(meets(unique, State::kCompleted, kNow, kNow + 24h * 365));
  EXPECT_EQ(unique_until(unique, kNow), kNever);
}

TEST(Admit, IsAvailableAtOnceOrScheduled) {
  const Row now = admit(kNow, 0s, 0s, 5);
  EXPECT_EQ(now.state, State::kAvailable);
  EXPECT_EQ(now.wake_at, kNever);
  EXPECT_EQ(now.max_attempts, 5);
  EXPECT_EQ(now.attempt, 0);
  EXPECT_EQ(value(now.fence), 0U);

  const Row later = admit(kNow, 10s, 0s, 5);
  EXPECT_EQ(later.state, State::kScheduled);
  EXPECT_EQ(later.wake_at, kNow + 10s);
  EXPECT_EQ(later.expires_at, kNever);
}

TEST(Admit, ExpiryCountsFromWhenItFallsDue) {
  const Row now = admit(kNow, 0s, 5s, 1);
  EXPECT_EQ(now.expires_at, kNow + 5s);
  EXPECT_EQ(now.wake_at, kNow + 5s) << "an available row wakes at its expiry";
  const Row later = admit(kNow, 10s, 5s, 1);
  EXPECT_EQ(later.expires_at, kNow + 15s);
  EXPECT_EQ(later.wake_at, kNow + 10s);
}

TEST(Admit, OddInputNeitherOverflowsNorLosesTheJob) {
  EXPECT_EQ(admit(kNow, Duration::max(), 0s, 1).wake_at, kNever);
  EXPECT_EQ(admit(kNow, 1h, Duration::max(), 1).expires_at, kNever);
  EXPECT_EQ(admit(kNow, -5s, 0s, 1).state, State::kAvailable);
  EXPECT_EQ(admit(kNow, 0s, 0s, 0).max_attempts, 1);
}

TEST(Claim, Invariant2And7_RaisesFenceAndAttemptAndBeginsALease) {
  Row row = available();
  EXPECT_FALSE(claim(row, WorkerId("w1"), 7, kLease, kNow));
  EXPECT_EQ(row.state, State::kRunning);
  EXPECT_EQ(value(row.fence), 1U);
  EXPECT_EQ(row.attempt, 1);
  EXPECT_EQ(row.wake_at, kNow + kLease);
  EXPECT_EQ(row.worker, "w1");
  EXPECT_EQ(row.claim_number, 7U);
}

TEST(Claim, ARefusalSaysWhyAndChangesNothing) {
  const auto refused = [](Row row, Refusal why, Time now) {
    const Row before = row;
    EXPECT_EQ(claim(row, WorkerId("w2"), 9, kLease, now), why);
    EXPECT_TRUE(equal(row, before));
  };
  refused(running(), Refusal::kGone, kNow);
  for (const State s : {State::kCompleted, State::kCancelled, State::kDiscarded}) {
    Row row = available();
    row.state = s;
    refused(row, Refusal::kGone, kNow);
  }
  const Row scheduled = admit(kNow, 10s, 0s, 1);
  refused(scheduled, Refusal::kEarly, kNow);
  refused(scheduled, Refusal::kEarly, kNow + 1h);  // due, but the sweep has not been
  Row retryable = running();
  finish(retryable, Verdict::kRetry, 10s);
  refused(retryable, Refusal::kEarly, kNow + 1h);
  const Row expiring = admit(kNow, 0s, 5s, 1);
  refused(expiring, Refusal::kGone, kNow + 5s);
}

TEST(Claim, UntilTheLastMicrosecondBeforeExpiry) {
  Row row = admit(kNow, 0s, 5s, 1);
  EXPECT_FALSE(claim(row, WorkerId("w1"), 1, kLease, kNow + 5s - 1us));
}

TEST(Beat, RenewsOnlyIfAskedAndTellsOfACancel) {
  Row row = running();
  EXPECT_EQ(beat(row, row.fence, false, kLease, kNow + 10s), Pulse::kAlive);
  EXPECT_EQ(row.wake_at, kNow + kLease);
  EXPECT_EQ(beat(row, row.fence, true, kLease, kNow + 10s), Pulse::kAlive);
  EXPECT_EQ(row.wake_at, kNow + 10s + kLease);
  EXPECT_EQ(cancel(row, kKeep, kNow), Cancelled::kRequested);
  EXPECT_EQ(beat(row, row.fence, true, kLease, kNow + 11s), Pulse::kCancel);
  EXPECT_EQ(row.wake_at, kNow + 11s + kLease) << "it still runs, so it keeps its lease";
}

TEST(Beat, Invariant3_AStaleOneChangesNothing) {
  Row row = running();
  const Row before = row;
  EXPECT_EQ(beat(row, Fence{0}, true, 1h, kNow), Pulse::kStale);
  EXPECT_EQ(beat(row, Fence{2}, true, 1h, kNow), Pulse::kStale);
  EXPECT_TRUE(equal(row, before));
  Row waiting = available();
  EXPECT_EQ(beat(waiting, waiting.fence, true, 1h, kNow), Pulse::kStale);
  EXPECT_EQ(waiting.wake_at, kNever);
}

TEST(ReleaseUnnamed, FreesOnlyThisWorkersSettledClaims) {
  Row row = available();
  claim(row, WorkerId("w1"), 5, kLease, kNow);
  const Row before = row;
  EXPECT_FALSE(release_unnamed(row, "w2", 9, kKeep, kNow));
  EXPECT_FALSE(release_unnamed(row, "w1", 4, kKeep, kNow)) << "a claim in flight";
  EXPECT_TRUE(equal(row, before));
  EXPECT_TRUE(release_unnamed(row, "w1", 5, kKeep, kNow));
  EXPECT_EQ(row.state, State::kAvailable);
  EXPECT_EQ(row.attempt, 0);
  EXPECT_EQ(value(row.fence), 1U) << "invariant 4: the fence is not refunded";
  EXPECT_EQ(row.wake_at, kNever);
  EXPECT_FALSE(release_unnamed(row, "w1", 5, kKeep, kNow)) << "it runs no more";
}

TEST(ReleaseUnnamed, KeepsTheExpiryOfAJobThatNeverStarted) {
  Row row = admit(kNow, 0s, 5s, 1);
  claim(row, WorkerId("w1"), 1, kLease, kNow);
  EXPECT_TRUE(release_unnamed(row, "w1", 1, kKeep, kNow));
  EXPECT_EQ(row.wake_at, kNow + 5s);
}

TEST(ReleaseUnnamed, EndsAJobWhoseCancelWasAsked) {
  Row row = running();
  cancel(row, kKeep, kNow);
  EXPECT_TRUE(release_unnamed(row, "w1", 1, kKeep, kNow));
  EXPECT_EQ(row.state, State::kCancelled);
  EXPECT_EQ(row.wake_at, kNow + 2h);
}

TEST(Finish, EachFinalVerdictHasItsRetention) {
  const auto ends = [](Verdict verdict, State state, Duration kept) {
    Row row = running();
    EXPECT_EQ(finish(row, verdict), Finished::Kind::kApplied);
    EXPECT_EQ(row.state, state);
    EXPECT_EQ(row.wake_at, kNow + kept);
    EXPECT_EQ(row.finished_fence, row.fence);
  };
  ends(Verdict::kCompleted, State::kCompleted, 1h);
  ends(Verdict::kCancelled, State::kCancelled, 2h);
  ends(Verdict::kDiscarded, State::kDiscarded, 3h);
}

TEST(Finish, NoRetentionIsDueAtOnceAndEndlessIsNever) {
  Row row = running();
  finish(row, row.fence, Verdict::kCompleted, 0s, false, {.completed = 0s}, kNow);
  EXPECT_EQ(row.wake_at, kNow);
  row = running();
  finish(row, row.fence, Verdict::kCompleted, 0s, false, {.completed = Duration::max()},
         kNow);
  EXPECT_EQ(row.wake_at, kNever);
}

TEST(Finish, RetryWaitsUntilNoAttemptIsLeft) {
  Row row = running(2);
  EXPECT_EQ(finish(row, Verdict::kRetry, 10s), Finished::Kind::kApplied);
  EXPECT_EQ(row.state, State::kRetryable);
  EXPECT_EQ(row.wake_at, kNow + 10s);
  EXPECT_EQ(row.attempt, 1);
  EXPECT_EQ(sweep(row, kKeep, kNow + 10s), SweepAct::kDue);
  EXPECT_FALSE(claim(row, WorkerId("w1"), 2, kLease, kNow + 10s));
  finish(row, Verdict::kRetry, 10s);
  EXPECT_EQ(row.state, State::kDiscarded);
  EXPECT_EQ(row.attempt, 2);
}

TEST(Finish, SnoozedAndReleasedRefundTheAttemptButNotTheFence) {
  Row row = running(1);
  finish(row, Verdict::kSnoozed, 10s);
  EXPECT_EQ(row.state, State::kScheduled);
  EXPECT_EQ(row.wake_at, kNow + 10s);
  EXPECT_EQ(row.attempt, 0);
  EXPECT_EQ(value(row.fence), 1U);
  for (const Verdict v : {Verdict::kReleased, Verdict::kInterrupted}) {
    row = running(1);
    finish(row, v);
    EXPECT_EQ(row.state, State::kAvailable);
    EXPECT_EQ(row.wake_at, kNever);
    EXPECT_EQ(row.attempt, 0);
    EXPECT_EQ(value(row.fence), 1U);
  }
  row = running(1);
  row.attempt = 0;  // no count to give back
  finish(row, Verdict::kReleased);
  EXPECT_EQ(row.attempt, 0);
}

TEST(Finish, ACancelThatWasAskedForWinsOverRunningAgain) {
  for (const Verdict v :
       {Verdict::kRetry, Verdict::kSnoozed, Verdict::kReleased, Verdict::kInterrupted}) {
    Row row = running();
    cancel(row, kKeep, kNow);
    EXPECT_EQ(finish(row, v, 10s), Finished::Kind::kApplied);
    EXPECT_EQ(row.state, State::kCancelled);
    EXPECT_EQ(row.wake_at, kNow + 2h);
  }
  Row row = running();
  cancel(row, kKeep, kNow);
  finish(row, Verdict::kCompleted);
  EXPECT_EQ(row.state, State::kCompleted) << "what is done is done";
}

TEST(Finish, ItsRepetitionIsAlreadyAndChangesNothing) {
  for (const Verdict v : {Verdict::kCompleted, Verdict::kRetry, Verdict::kSnoozed,
                          Verdict::kReleased, Verdict::kInterrupted}) {
    Row row = running();
    finish(row, v, 1s, true);
    const Row before = row;
    EXPECT_EQ(finish(row, v, 1s, true), Finished::Kind::kAlready);
    EXPECT_TRUE(equal(row, before));
  }
  Row row = running();
  finish(row, Verdict::kRetry, 1s);
  sweep(row, kKeep, kNow + 1s);
  EXPECT_EQ(finish(row, Verdict::kRetry, 1s), Finished::Kind::kAlready)
      << "also when it is available again";
}

TEST(Finish, Invariant3_AStaleOneChangesNothing) {
  Row row = running();
  const auto stale = [&row](Fence fence) {
    const Row before = row;
    EXPECT_EQ(finish(row, fence, Verdict::kCompleted, 0s, true, kKeep, kNow),
              Finished::Kind::kStale);
    EXPECT_TRUE(equal(row, before));
  };
  stale(Fence{0});
  stale(Fence{2});
  sweep(row, kKeep, kNow + kLease);  // rescued: nothing was finished
  stale(Fence{1});
  claim(row, WorkerId("w2"), 1, kLease, kNow + kLease);
  stale(Fence{1});
  row = available();
  stale(Fence{0});  // a row that was never claimed was never finished
}

TEST(Finish, CountsCrashes) {
  Row row = running();
  finish(row, Verdict::kRetry, 0s, true);
  EXPECT_EQ(row.crashes, 1);
  sweep(row, kKeep, kNow);
  claim(row, WorkerId("w1"), 2, kLease, kNow);
  finish(row, Verdict::kRetry, 0s, false);
  EXPECT_EQ(row.crashes, 1);
}

TEST(Expiry, AsksForOneStartNotForEveryAttempt) {
  const auto started = [] {
    Row row = admit(kNow, 0s, 5s, 3);
    claim(row, WorkerId("w1"), 1, kLease, kNow);
    return row;
  };
  Row retried = started();
  finish(retried, Verdict::kRetry, 1h);
  EXPECT_EQ(sweep(retried, kKeep, kNow + 1h), SweepAct::kDue);
  EXPECT_FALSE(claim(retried, WorkerId("w1"), 2, kLease, kNow + 1h));
  Row snoozed = started();
  finish(snoozed, Verdict::kSnoozed, 1h);
  EXPECT_EQ(sweep(snoozed, kKeep, kNow + 1h), SweepAct::kDue);
  Row rescued = started();
  EXPECT_EQ(sweep(rescued, kKeep, kNow + 1h), SweepAct::kRescued);
  EXPECT_FALSE(claim(rescued, WorkerId("w1"), 2, kLease, kNow + 1h));
  Row released = started();
  finish(released, Verdict::kReleased);
  EXPECT_EQ(released.wake_at, kNow + 5s) << "as if it had never started";
  Row interrupted = started();
  finish(interrupted, Verdict::kInterrupted);
  EXPECT_EQ(interrupted.wake_at, kNever);
  EXPECT_EQ(sweep(interrupted, kKeep, kNow + 1h), SweepAct::kNothing);
  EXPECT_FALSE(claim(interrupted, WorkerId("w1"), 2, kLease, kNow + 1h));
}

TEST(Cancel, EndsWhatWaitsAndAsksWhatRuns) {
  Row row = available();
  EXPECT_EQ(cancel(row, kKeep, kNow), Cancelled::kCancelled);
  EXPECT_EQ(row.state, State::kCancelled);
  EXPECT_EQ(row.wake_at, kNow + 2h);
  EXPECT_EQ(cancel(row, kKeep, kNow), Cancelled::kAlreadyFinal);
  row = admit(kNow, 1h, 0s, 1);
  EXPECT_EQ(cancel(row, kKeep, kNow), Cancelled::kCancelled);
  row = running();
  EXPECT_EQ(cancel(row, kKeep, kNow), Cancelled::kRequested);
  EXPECT_EQ(cancel(row, kKeep, kNow), Cancelled::kRequested);
  EXPECT_EQ(row.state, State::kRunning);
  EXPECT_TRUE(row.cancel_requested);
  EXPECT_EQ(row.wake_at, kNow + kLease);
}

TEST(Retry, MakesAvailableWithAnAttemptLeft) {
  Row row = running(1);
  finish(row, Verdict::kRetry, 0s, true);
  ASSERT_EQ(row.state, State::kDiscarded);
  EXPECT_TRUE(retry(row, kNow));
  EXPECT_EQ(row.state, State::kAvailable);
  EXPECT_EQ(row.wake_at, kNever);
  EXPECT_LT(row.attempt, row.max_attempts);
  EXPECT_EQ(row.crashes, 0);
  EXPECT_FALSE(claim(row, WorkerId("w1"), 2, kLease, kNow));
  EXPECT_EQ(value(row.fence), 2U);
  EXPECT_EQ(row.attempt, 2) << "the history goes on";
}

TEST(Retry, ClearsCancelAndExpiry) {
  Row row = admit(kNow, 0s, 5s, 1);
  ASSERT_EQ(sweep(row, kKeep, kNow + 5s), SweepAct::kExpired);
  EXPECT_TRUE(retry(row, kNow + 10s));
  EXPECT_FALSE(claim(row, WorkerId("w1"), 1, kLease, kNow + 10s));
  cancel(row, kKeep, kNow);
  finish(row, Verdict::kCancelled);
  EXPECT_TRUE(retry(row, kNow + 10s));
  EXPECT_FALSE(row.cancel_requested);
}

TEST(Retry, NotWhatRunsOrIsAvailable) {
  Row row = available();
  EXPECT_FALSE(retry(row, kNow));
  row = running();
  EXPECT_FALSE(retry(row, kNow));
  EXPECT_EQ(row.state, State::kRunning);
}

TEST(Retry, AtTheLargestCountThereIsStillAnAttempt) {
  Row row = available();
  row.state = State::kDiscarded;
  row.max_attempts = row.attempt = std::numeric_limits<std::uint16_t>::max();
  EXPECT_TRUE(retry(row, kNow));
  EXPECT_LT(row.attempt, row.max_attempts);
}

TEST(Sweep, DoesNothingBeforeItsTime) {
  for (Row row :
       {admit(kNow, 10s, 0s, 1), admit(kNow, 0s, 10s, 1), running(), available()}) {
    const Row before = row;
    EXPECT_EQ(sweep(row, kKeep, kNow + 10s - 1us), SweepAct::kNothing);
    EXPECT_TRUE(equal(row, before));
  }
}

TEST(Sweep, DueRowsBecomeAvailable) {
  Row row = admit(kNow, 10s, 5s, 1);
  EXPECT_EQ(sweep(row, kKeep, kNow + 10s), SweepAct::kDue);
  EXPECT_EQ(row.state, State::kAvailable);
  EXPECT_EQ(row.wake_at, kNow + 15s);
}

TEST(Sweep, ExpiredRowsAreDiscarded) {
  Row row = admit(kNow, 0s, 5s, 1);
  EXPECT_EQ(sweep(row, kKeep, kNow + 5s), SweepAct::kExpired);
  EXPECT_EQ(row.state, State::kDiscarded);
  EXPECT_EQ(row.wake_at, kNow + 5s + 3h);
  row = admit(kNow, 10s, 5s, 1);  // nobody swept between its time and its expiry
  EXPECT_EQ(sweep(row, kKeep, kNow + 15s), SweepAct::kExpired);
}

TEST(Sweep, Invariant7_ALostLeaseSpendsTheAttempt) {
  Row row = running(2);
  EXPECT_EQ(sweep(row, kKeep, kNow + kLease), SweepAct::kRescued);
  EXPECT_EQ(row.state, State::kAvailable);
  EXPECT_EQ(row.attempt, 1);
  EXPECT_EQ(row.wake_at, kNever);
  claim(row, WorkerId("w2"), 1, kLease, kNow + kLease);
  EXPECT_EQ(sweep(row, kKeep, kNow + 2 * kLease), SweepAct::kExhausted);
  EXPECT_EQ(row.state, State::kDiscarded);
  EXPECT_EQ(row.crashes, 0) << "innocent until its own child crashes";
}

TEST(Sweep, ALostLeaseEndsAJobWhoseCancelWasAsked) {
  Row row = running();
  cancel(row, kKeep, kNow);
  EXPECT_EQ(sweep(row, kKeep, kNow + kLease), SweepAct::kCancelled);
  EXPECT_EQ(row.state, State::kCancelled);
}

TEST(Sweep, FinalRowsArePurgedInTime) {
  Row row = running();
  finish(row, Verdict::kCompleted);
  EXPECT_EQ(sweep(row, kKeep, kNow + 1h - 1us), SweepAct::kNothing);
  EXPECT_EQ(sweep(row, kKeep, kNow + 1h), SweepAct::kPurge);
}

}  // namespace
}  // namespace carrel::rules
