// Runs of handlers that are asked, told and made to stop.
#include <gmock/gmock.h>

#include <thread>

#include "isolation_case.h"

namespace carrel::conformance {
namespace {

Started begun(IsolationCase& t, const char* kind) {
  Started started = t.start(kind);
  if (started.refused) {
    ADD_FAILURE() << kind << " was refused: " << started.refused->message;
  } else {
    started.listener->wait_progress();
  }
  return started;
}

void add_polite_cases(IsolationCases& cases) {
  cases.add("Stop_ARunThatHeedsItIsCancelled", [](IsolationCase& t) {
    const Started s = begun(t, "conformance.heed_stop");
    ASSERT_TRUE(s.run);
    s.run->request_stop(StopReason::kCancel);
    s.run->request_stop(StopReason::kCancel);
    EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kCancelled);
    t.expect_alive();
  });

  cases.add("Stop_TheReasonNamesTheClass", [](IsolationCase& t) {
    const Started late = begun(t, "conformance.heed_stop");
    ASSERT_TRUE(late.run);
    late.run->request_stop(StopReason::kTimeout);
    EXPECT_EQ(late.listener->wait_end().klass, OutcomeClass::kWallTimeout);
    const Started closing = begun(t, "conformance.heed_stop");
    ASSERT_TRUE(closing.run);
    closing.run->request_stop(StopReason::kShutdown);
    EXPECT_EQ(closing.listener->wait_end().klass, OutcomeClass::kCancelled);
  });

  cases.add("Stop_ASuccessStaysASuccess", [](IsolationCase& t) {
    const Started s = begun(t, "conformance.finish_on_stop");
    ASSERT_TRUE(s.run);
    s.run->request_stop(StopReason::kCancel);
    const Outcome out = s.listener->wait_end();
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(out.result, "\"done all the same\"");
  });

  cases.add("Stop_EveryCallDoesNothingAfterTheEnd", [](IsolationCase& t) {
    const Started s = t.start("conformance.echo", "1");
    ASSERT_TRUE(s.run);
    EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kOk);
    for (int i = 0; i < 2; ++i) {
      s.run->request_stop(StopReason::kTimeout);
      s.run->terminate();
      s.run->kill();
      s.run->abandon();
    }
    EXPECT_EQ(t.isolation().stuck(), 0U);
    t.expect_alive();
  });

  cases.add("Stop_OthersGoOn", [](IsolationCase& t) {
    const Started stays = begun(t, "conformance.finish_on_stop");
    const Started goes = begun(t, "conformance.heed_stop");
    ASSERT_TRUE(stays.run && goes.run);
    goes.run->request_stop(StopReason::kCancel);
    EXPECT_EQ(goes.listener->wait_end().klass, OutcomeClass::kCancelled);
    EXPECT_FALSE(stays.listener->ended());
    stays.run->request_stop(StopReason::kCancel);
    EXPECT_EQ(stays.listener->wait_end().klass, OutcomeClass::kOk);
  });

  cases.add("Stop_AtAnyMomentEndsOnce", [](IsolationCase& t) {
    // The request meets the run before, while and after it begins; the sinks are asked
    // at the end whether each heard one end.
    for (int i = 0; i < 50; ++i) {
      const Started s = t.start("conformance.heed_stop");
      ASSERT_TRUE(s.run);
      s.run->request_stop(StopReason::kCancel);
      EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kCancelled);
    }
  });
}

void add_kill_cases(IsolationCases& cases) {
  cases.add("Kill_TerminateEndsARunThatDoesNotListen", [](IsolationCase& t) {
    if (!t.traits().can_kill) GTEST_SKIP() << "isolation has no can_kill";
    const Started s = begun(t, "conformance.never_ends");
    ASSERT_TRUE(s.run);
    s.run->request_stop(StopReason::kTimeout);
    EXPECT_TRUE(s.run->terminate());
    EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kWallTimeout);
    t.expect_alive();
  });

  cases.add("Kill_EndsARunThatIgnoresTerm", [](IsolationCase& t) {
    if (!t.traits().can_kill) GTEST_SKIP() << "isolation has no can_kill";
    const Started s = begun(t, "conformance.ignore_term");
    ASSERT_TRUE(s.run);
    s.run->request_stop(StopReason::kCancel);
    EXPECT_TRUE(s.run->terminate());
    EXPECT_FALSE(s.listener->ended());
    EXPECT_TRUE(s.run->kill());
    EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kCancelled);
    t.expect_alive();
  });

  cases.add("Kill_WithoutAReasonIsNoSuccess", [](IsolationCase& t) {
    if (!t.traits().can_kill) GTEST_SKIP() << "isolation has no can_kill";
    const Started s = begun(t, "conformance.never_ends");
    ASSERT_TRUE(s.run);
    EXPECT_TRUE(s.run->kill());
    EXPECT_NE(s.listener->wait_end().klass, OutcomeClass::kOk);
    t.expect_alive();
  });

  cases.add("Kill_AThreadCannotBeKilled", [](IsolationCase& t) {
    if (t.traits().can_kill) GTEST_SKIP() << "isolation has can_kill";
    const Started s = begun(t, "conformance.heed_stop");
    ASSERT_TRUE(s.run);
    EXPECT_FALSE(s.run->terminate());
    EXPECT_FALSE(s.run->kill());
    EXPECT_FALSE(s.listener->ended());
    s.run->request_stop(StopReason::kCancel);
    EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kCancelled);
  });

  cases.add("Abandon_TheRunIsNotHeardAnyMoreAndCountsAsStuck", [](IsolationCase& t) {
    if (t.traits().can_kill) GTEST_SKIP() << "isolation has can_kill";
    const Started s = begun(t, "conformance.gate");
    ASSERT_TRUE(s.run);
    s.run->abandon();
    s.run->abandon();
    EXPECT_EQ(t.isolation().stuck(), 1U);
    EXPECT_FALSE(s.listener->ended());
    t.expect_alive();
    open_gate();
    while (t.isolation().stuck() > 0) std::this_thread::yield();
    EXPECT_FALSE(s.listener->ended()) << "an abandoned run must not be heard";
    t.expect_alive();
  });
}

}  // namespace

void add_stop_cases(IsolationCases& cases) {
  add_polite_cases(cases);
  add_kill_cases(cases);
}

}  // namespace carrel::conformance
