#include <carrel/retry.h>
#include <gtest/gtest.h>

#include <csignal>
#include <limits>

namespace carrel {
namespace {

using namespace std::chrono_literals;

constexpr double kMiddle = 0.5;  // no jitter

Claimed claimed(std::uint16_t attempt = 1, std::uint16_t max_attempts = 25,
                std::uint16_t crashes = 0) {
  Claimed job;
  job.attempt = attempt;
  job.max_attempts = max_attempts;
  job.crashes = crashes;
  return job;
}

Outcome ended(OutcomeClass klass, Code code = Code::kFailed, Duration retry_in = 0s) {
  Outcome outcome;
  outcome.klass = klass;
  outcome.error = Error{code, "because", "test", 0, retry_in};
  return outcome;
}

Decision decided(const Outcome& outcome, std::optional<StopReason> stop = std::nullopt,
                 const Claimed& job = claimed()) {
  return decide(RetryPolicy{}, job, outcome, stop, kMiddle);
}

TEST(Backoff, GrowsByTheFourthPowerByDefault) {
  EXPECT_EQ(backoff({}, 1, kMiddle), 1s);
  EXPECT_EQ(backoff({}, 2, kMiddle), 16s);
  EXPECT_EQ(backoff({}, 10, kMiddle), 10'000s);
}

TEST(Backoff, StaysWithinItsJitter) {
  EXPECT_EQ(backoff({}, 2, 0), 14'400ms);
  EXPECT_LE(backoff({}, 2, std::nextafter(1, 0)), 17'600ms);
  EXPECT_GT(backoff({}, 2, 0.99), 17s);
  const RetryPolicy steady{.jitter = 0};
  EXPECT_EQ(backoff(steady, 2, 0), 16s);
  EXPECT_EQ(backoff(steady, 2, 0.99), 16s);
}

TEST(Backoff, PowerZeroIsConstantAndOneIsLinear) {
  EXPECT_EQ(backoff({.base = 3s, .power = 0}, 7, kMiddle), 3s);
  EXPECT_EQ(backoff({.base = 3s, .power = 1}, 7, kMiddle), 21s);
}

TEST(Backoff, NeverPassesItsCapNorOverflows) {
  EXPECT_EQ(backoff({.cap = 60s}, 65'535, kMiddle), 60s);
  const RetryPolicy wild{.base = Duration::max(), .power = 1e300, .cap = Duration::max()};
  for (std::uint16_t attempt : {0, 1, 2, 65'535}) {
    for (double random : {0.0, 0.5, 1.0, 1e300}) {
      const Duration d = backoff(wild, attempt, random);
      EXPECT_GT(d, 0s);
      EXPECT_LE(d, 24h * 36'500);
    }
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(backoff({.power = nan}, 3, kMiddle), 24h);
  EXPECT_GE(backoff({.base = -5s}, 3, kMiddle), 0s);
}

TEST(Decide, OkCompletesWhateverWasAsked) {
  for (auto stop :
       {std::optional<StopReason>{}, std::optional(StopReason::kCancel),
        std::optional(StopReason::kTimeout), std::optional(StopReason::kShutdown)}) {
    EXPECT_EQ(decided(ended(OutcomeClass::kOk), stop).verdict, Verdict::kCompleted);
  }
}

TEST(Decide, EveryOtherEndOfACancelledRunIsCancelled) {
  for (auto klass :
       {OutcomeClass::kFailed, OutcomeClass::kSnoozed, OutcomeClass::kDiscarded,
        OutcomeClass::kCancelled, OutcomeClass::kCrashed, OutcomeClass::kWallTimeout}) {
    EXPECT_EQ(decided(ended(klass), StopReason::kCancel).verdict, Verdict::kCancelled);
  }
  EXPECT_EQ(decided(ended(OutcomeClass::kCancelled)).verdict, Verdict::kCancelled);
}

TEST(Decide, AShutdownInterruptsAndIsNoCrash) {
  for (auto klass : {OutcomeClass::kFailed, OutcomeClass::kCancelled,
                     OutcomeClass::kSignaled, OutcomeClass::kWorkerLost}) {
    const auto decision =
        decided(ended(klass), StopReason::kShutdown, claimed(25, 25, 9));
    EXPECT_EQ(decision.verdict, Verdict::kInterrupted);
    EXPECT_FALSE(decision.crashed);
  }
}

TEST(Decide, SnoozeAndDiscardAreWhatTheHandlerSaid) {
  const auto snoozed = decided(ended(OutcomeClass::kSnoozed, Code::kSnoozed, 5min),
                               StopReason::kShutdown, claimed(25, 25));
  EXPECT_EQ(snoozed.verdict, Verdict::kSnoozed);
  EXPECT_EQ(snoozed.retry_in, 5min);
  EXPECT_EQ(decided(ended(OutcomeClass::kSnoozed, Code::kSnoozed, -5s)).retry_in, 0s);
  EXPECT_LT(
      decided(ended(OutcomeClass::kSnoozed, Code::kSnoozed, Duration::max())).retry_in,
      Duration::max() / 2);
  EXPECT_EQ(decided(ended(OutcomeClass::kDiscarded, Code::kDiscarded)).verdict,
            Verdict::kDiscarded);
}

TEST(Decide, WhatNoRetryCanMendIsDiscarded) {
  EXPECT_EQ(decided(ended(OutcomeClass::kFailed, Code::kTooLarge)).verdict,
            Verdict::kDiscarded);
  EXPECT_EQ(decided(ended(OutcomeClass::kFailed, Code::kInvalid)).verdict,
            Verdict::kDiscarded);
  EXPECT_EQ(decided(ended(OutcomeClass::kFailed, Code::kFailed)).verdict,
            Verdict::kRetry);
}

TEST(Decide, RetriesUntilTheAttemptsAreUsedUp) {
  const auto second = decided(ended(OutcomeClass::kFailed), std::nullopt, claimed(2, 3));
  EXPECT_EQ(second.verdict, Verdict::kRetry);
  EXPECT_EQ(second.retry_in, 16s);
  EXPECT_EQ(decided(ended(OutcomeClass::kFailed), std::nullopt, claimed(3, 3)).verdict,
            Verdict::kDiscarded);
  EXPECT_EQ(decided(ended(OutcomeClass::kWallTimeout), StopReason::kTimeout).verdict,
            Verdict::kRetry);
}

TEST(Decide, TheHandlersOwnDelayReplacesTheBackoff) {
  EXPECT_EQ(decided(ended(OutcomeClass::kFailed, Code::kFailed, 42s)).retry_in, 42s);
  EXPECT_LT(
      decided(ended(OutcomeClass::kFailed, Code::kFailed, Duration::max())).retry_in,
      Duration::max() / 2);
}

TEST(Decide, CrashesCountAndTheLastIsPoison) {
  for (auto klass : {OutcomeClass::kCrashed, OutcomeClass::kSignaled}) {
    const auto first = decided(ended(klass), std::nullopt, claimed(1, 25, 0));
    EXPECT_EQ(first.verdict, Verdict::kRetry);
    EXPECT_TRUE(first.crashed);
    const auto second = decided(ended(klass), std::nullopt, claimed(2, 25, 1));
    EXPECT_EQ(second.verdict, Verdict::kRetry);
    const auto third = decided(ended(klass), std::nullopt, claimed(3, 25, 2));
    EXPECT_EQ(third.verdict, Verdict::kDiscarded);
    EXPECT_TRUE(third.crashed);
    EXPECT_EQ(
        decide({.max_crashes = 0}, claimed(3, 25, 65'535), ended(klass), {}, 0).verdict,
        Verdict::kRetry);
  }
  EXPECT_FALSE(decided(ended(OutcomeClass::kFailed)).crashed);
}

TEST(Decide, ASignalOfTheLadderIsNoCrashButOneOfItsOwnIs) {
  Outcome outcome = ended(OutcomeClass::kSignaled);
  outcome.signal = SIGKILL;
  EXPECT_FALSE(decided(outcome, StopReason::kTimeout, claimed(1, 25, 2)).crashed);
  EXPECT_TRUE(decided(outcome).crashed);  // somebody else's kill, such as the kernel's
  outcome.signal = SIGSEGV;
  EXPECT_TRUE(decided(outcome, StopReason::kTimeout).crashed);
}

}  // namespace
}  // namespace carrel
