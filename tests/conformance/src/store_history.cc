// The history of attempts, and what is counted about them.
#include <gmock/gmock.h>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

Finish failed_attempt(const Claimed& run, std::string message) {
  Finish finish = StoreCase::finish_of(run.lease, Verdict::kRetry);
  finish.attempt = Attempt{};
  finish.attempt->attempt = run.attempt;
  finish.attempt->fence = run.lease.fence;
  finish.attempt->message = std::move(message);
  return finish;
}

}  // namespace

void add_history_cases(StoreCases& cases) {
  cases.add("History_EveryFieldOfAnAttemptIsKept", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    const Claimed run = t.claim(id, "worker-9");
    t.advance(3s);
    Finish finish = failed_attempt(run, "no such file: «ä»");
    Attempt& said = *finish.attempt;
    said.klass = OutcomeClass::kSignaled;
    said.code = Code::kNotFound;
    said.native = 2;
    said.exit_code = 7;
    said.signal = 11;
    said.usage = {1'500ms, 250ms, 123'456'789};
    said.stderr_tail = "line 1\nline 2";
    said.rung = Rung::kTerm;
    said.leftover_killed = true;
    said.enforced = {"namespaces", "landlock 7", "«ä»"};
    t.finish(finish);

    const auto attempts = t.record(id).attempts;
    ASSERT_THAT(attempts, SizeIs(1));
    const Attempt& a = attempts[0];
    EXPECT_EQ(a.attempt, 1);
    EXPECT_EQ(a.fence, run.lease.fence);
    EXPECT_EQ(a.klass, OutcomeClass::kSignaled);
    EXPECT_EQ(a.message, said.message);
    EXPECT_EQ(a.code, Code::kNotFound);
    EXPECT_EQ(a.native, 2);
    EXPECT_EQ(a.exit_code, 7);
    EXPECT_EQ(a.signal, 11);
    EXPECT_EQ(a.usage.wall, 1'500ms);
    EXPECT_EQ(a.usage.cpu, 250ms);
    EXPECT_EQ(a.usage.max_rss_bytes, 123'456'789U);
    EXPECT_EQ(a.stderr_tail, "line 1\nline 2");
    EXPECT_EQ(a.rung, Rung::kTerm);
    EXPECT_TRUE(a.leftover_killed);
    EXPECT_EQ(a.enforced, said.enforced);
    EXPECT_EQ(a.worker, "worker-9") << "the store fills it in";
    EXPECT_GE(a.ended - a.started, 3s) << "by the store's own clock";
    EXPECT_LE(a.ended - a.started, 3s + t.slack());
  });

  cases.add("History_ASuccessKeepsWhatIsSaidOfItsEnd", [](StoreCase& t) {
    // Each alone: nothing else of the attempt is worth a word.
    std::vector<Attempt> ends(3);
    ends[0].rung = Rung::kKill;
    ends[1].leftover_killed = true;
    ends[2].enforced = {"seccomp"};
    for (Attempt& end : ends) {
      end.klass = OutcomeClass::kOk;
      const Claimed run = t.insert_and_claim();
      Finish finish = StoreCase::finish_of(run.lease, Verdict::kCompleted);
      finish.attempt = end;
      finish.attempt->attempt = run.attempt;
      finish.attempt->fence = run.lease.fence;
      t.finish(finish);
      const auto attempts = t.record(run.lease.id).attempts;
      ASSERT_THAT(attempts, SizeIs(1));
      EXPECT_EQ(attempts[0].rung, end.rung);
      EXPECT_EQ(attempts[0].leftover_killed, end.leftover_killed);
      EXPECT_EQ(attempts[0].enforced, end.enforced);
    }
  });

  cases.add("History_GrowsOldestFirst", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    for (int i = 1; i <= 4; ++i) {
      t.finish(failed_attempt(t.claim(id), "failure " + std::to_string(i)));
      t.sweep_all();
    }
    const auto attempts = t.record(id).attempts;
    ASSERT_THAT(attempts, SizeIs(4));
    for (int i = 1; i <= 4; ++i) {
      const Attempt& a = attempts[static_cast<std::size_t>(i) - 1];
      EXPECT_EQ(a.attempt, i);
      EXPECT_EQ(a.message, "failure " + std::to_string(i));
    }
  });

  cases.add("History_KeepsTheLast100", [](StoreCase& t) {
    NewJob job = t.job();
    job.max_attempts = 200;
    const JobId id = t.insert(job);
    for (int i = 1; i <= 103; ++i) {
      t.finish(failed_attempt(t.claim(id), std::to_string(i)));
      t.sweep_all();
    }
    const auto attempts = t.record(id).attempts;
    ASSERT_THAT(attempts, SizeIs(100));
    EXPECT_EQ(attempts.front().message, "4");
    EXPECT_EQ(attempts.back().message, "103");
  });

  cases.add("History_NothingWorthKeepingIsNotKept", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.finish(run, Verdict::kReleased);
    EXPECT_THAT(t.record(run.lease.id).attempts, IsEmpty());
  });

  cases.add("History_CrashesAreCountedAndHandedToTheNextRun", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    for (int i = 0; i < 3; ++i) {
      const Claimed run = t.claim(id);
      EXPECT_EQ(run.crashes, i);
      Finish crash = t.finish_of(run.lease, Verdict::kRetry);
      crash.crashed = true;
      t.finish(crash);
      t.sweep_all();
    }
    EXPECT_EQ(t.record(id).crashes, 3);
    t.finish(t.claim(id), Verdict::kRetry);
    EXPECT_EQ(t.record(id).crashes, 3) << "a failure without a crash does not count";
  });

  cases.add("History_ALostLeaseIsNoCrash", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.advance(kLease + 1s);
    t.sweep();
    EXPECT_EQ(t.record(run.lease.id).crashes, 0);
    EXPECT_EQ(t.record(run.lease.id).attempt, 1) << "it spends an attempt, and no more";
  });
}

}  // namespace carrel::conformance
