#include <gmock/gmock.h>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

Refusal refusal(StoreCase& t, JobId id) {
  const auto answer = t.claim_answer(id);
  EXPECT_FALSE(answer.has_value()) << "job " << value(id) << " was claimed";
  return answer ? Refusal{} : answer.error();
}

void add_grant_cases(StoreCases& cases) {
  cases.add("Invariant2_ARunStartsOnlyByAClaim", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    const JobRecord before = t.record(id);
    EXPECT_EQ(before.state, State::kAvailable);
    EXPECT_EQ(before.fence, Fence{});
    EXPECT_EQ(before.attempt, 0);
    EXPECT_FALSE(before.started.has_value());

    const Claimed run = t.claim(id);
    const JobRecord after = t.record(id);
    EXPECT_EQ(after.state, State::kRunning);
    EXPECT_EQ(after.fence, run.lease.fence);
    EXPECT_GT(value(run.lease.fence), 0U);
    EXPECT_EQ(after.worker, kWorker);
    EXPECT_TRUE(after.started.has_value());
  });

  cases.add("Invariant4_FenceRisesWithEveryClaim", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    std::uint64_t last = 0;
    for (int i = 0; i < 5; ++i) {
      const Claimed run = t.claim(id);
      EXPECT_GT(value(run.lease.fence), last);
      last = value(run.lease.fence);
      t.finish(run, Verdict::kReleased);
      EXPECT_EQ(value(t.record(id).fence), last) << "a release must not lower the fence";
    }
  });

  cases.add("Invariant7_AttemptRisesAtClaim", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    EXPECT_EQ(t.claim(id).attempt, 1);
    EXPECT_EQ(t.record(id).attempt, 1) << "it counts although nothing was finished";
    t.advance(kLease + 1s);
    EXPECT_EQ(t.sweep().rescued, 1U);
    EXPECT_EQ(t.claim(id).attempt, 2);
  });

  cases.add("Claim_AnswersAlignWithTickets", [](StoreCase& t) {
    const auto ids = t.insert_many(3);
    t.claim(ids[1]);
    const auto answers = must(t.try_claim({ids[2], ids[1], JobId{987'654'321}, ids[0]}));
    ASSERT_THAT(answers, SizeIs(4));
    ASSERT_TRUE(answers[0].has_value());
    EXPECT_EQ(answers[0]->lease.id, ids[2]);
    EXPECT_FALSE(answers[1].has_value());
    EXPECT_FALSE(answers[2].has_value());
    ASSERT_TRUE(answers[3].has_value());
    EXPECT_EQ(answers[3]->lease.id, ids[0]);
  });

  cases.add("Claim_NoTicketsIsNothing",
            [](StoreCase& t) { EXPECT_THAT(must(t.try_claim({})), SizeIs(0)); });

  cases.add("Claim_GivesTheCheckpointOfAnEarlierAttempt", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    Finish retry = t.finish_of(run.lease, Verdict::kRetry);
    retry.checkpoint = std::string("page\0 7\xff", 8);
    t.finish(retry);
    t.sweep_all();
    EXPECT_EQ(t.claim(run.lease.id).checkpoint, *retry.checkpoint);
  });

  cases.add("Claim_TakesMoreTicketsThanABatch", [](StoreCase& t) {
    const std::size_t n = std::min<std::size_t>(t.traits().max_batch + 3, 5'000);
    const auto ids = t.insert_many(n);
    const auto answers = must(t.try_claim(ids));
    ASSERT_THAT(answers, SizeIs(n));
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_TRUE(answers[i].has_value()) << i;
      ASSERT_EQ(answers[i]->lease.id, ids[i]);
    }
  });
}

void add_claim_refusal_cases(StoreCases& cases) {
  cases.add("Claim_ARunningOrFinalJobIsGone", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    EXPECT_EQ(refusal(t, run.lease.id), Refusal::kGone);
    t.finish(run);
    EXPECT_EQ(refusal(t, run.lease.id), Refusal::kGone);
    EXPECT_EQ(t.state(run.lease.id), State::kCompleted);
    EXPECT_EQ(refusal(t, JobId{4'242}), Refusal::kGone);
  });

  cases.add("Claim_AJobThatIsNotDueIsEarly", [](StoreCase& t) {
    NewJob later = t.job();
    later.delay = 60s;
    const JobId scheduled = t.insert(later);
    EXPECT_EQ(refusal(t, scheduled), Refusal::kEarly);
    const Claimed run = t.insert_and_claim();
    t.finish(run, Verdict::kRetry, 60s);
    EXPECT_EQ(refusal(t, run.lease.id), Refusal::kEarly);
    EXPECT_EQ(t.state(scheduled), State::kScheduled);
    EXPECT_EQ(t.state(run.lease.id), State::kRetryable);
  });

  cases.add("Claim_AJobOfAPausedQueueIsPaused", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    t.pause("default");
    EXPECT_EQ(refusal(t, id), Refusal::kPaused);
    EXPECT_EQ(t.state(id), State::kAvailable);
    EXPECT_EQ(t.record(id).attempt, 0);
  });

  cases.add("Claim_AJobNotStartedInTimeIsGone", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 5s;
    const JobId late = t.insert(brief);
    const JobId other = t.insert(t.job());
    t.advance(5s);
    EXPECT_EQ(refusal(t, late), Refusal::kGone);
    EXPECT_TRUE(t.claim_answer(other).has_value());
  });

  cases.add("Claim_OneTicketTwiceIsGrantedOnce", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    const auto answers = must(t.try_claim({id, id}));
    ASSERT_THAT(answers, SizeIs(2));
    EXPECT_NE(answers[0].has_value(), answers[1].has_value());
    EXPECT_EQ(t.record(id).attempt, 1);
  });

  cases.add("Invariant5_AStaleTicketOnlyCostsARefusal", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    const Claimed run = t.claim(id);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(refusal(t, id), Refusal::kGone);
    const JobRecord r = t.record(id);
    EXPECT_EQ(r.attempt, 1);
    EXPECT_EQ(r.fence, run.lease.fence);
  });
}

void add_peek_cases(StoreCases& cases) {
  cases.add("Peek_BestFirstByPriorityThenAge", [](StoreCase& t) {
    std::vector<JobId> ids;
    for (std::int16_t priority : {5, -3, 0, -3, 32'767, -32'768, 0}) {
      NewJob job = t.job();
      job.priority = priority;
      ids.push_back(t.insert(job));
      t.advance(1ms);
    }
    EXPECT_THAT(ids_of(t.peek()),
                ElementsAre(ids[5], ids[1], ids[3], ids[2], ids[6], ids[0], ids[4]));
    EXPECT_THAT(ids_of(t.peek(2)), ElementsAre(ids[5], ids[1]));
  });

  cases.add("Peek_DemandNamesQueuesAndKinds", [](StoreCase& t) {
    const auto add = [&](const char* queue, const char* kind) {
      NewJob job = t.job();
      job.queue = queue;
      job.kind = kind;
      t.advance(1ms);
      return t.insert(job);
    };
    const JobId a1 = add("a", "one");
    const JobId a2 = add("a", "two");
    const JobId b1 = add("b", "one");
    const JobId c1 = add("c", "one");
    EXPECT_THAT(ids_of(t.peek(10, {"one"}, {"a"})), ElementsAre(a1));
    EXPECT_THAT(ids_of(t.peek(10, {"one", "two"}, {"a"})), ElementsAre(a1, a2));
    EXPECT_THAT(ids_of(t.peek(10, {"one"}, {"a", "b"})), ElementsAre(a1, b1));
    EXPECT_THAT(ids_of(t.peek(10, {"one"})), ElementsAre(a1, b1, c1));
    EXPECT_THAT(t.peek(10, {}), SizeIs(0)) << "no kinds: nothing may be taken";
    EXPECT_THAT(t.peek(10, {"three"}), SizeIs(0));
    EXPECT_THAT(t.peek(0, {"one"}), SizeIs(0));
  });

  cases.add("Invariant6_PeekWritesNothing", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    t.advance(1s);
    const JobRecord before = t.record(id);
    for (int i = 0; i < 3; ++i) EXPECT_THAT(ids_of(t.peek()), ElementsAre(id));
    const JobRecord after = t.record(id);
    EXPECT_EQ(Json(before), Json(after));
  });

  cases.add("Peek_ShowsOnlyWhatMayBeClaimed", [](StoreCase& t) {
    NewJob later = t.job();
    later.delay = 60s;
    t.insert(later);
    t.insert_and_claim();
    t.finish(t.insert_and_claim(), Verdict::kRetry, 60s);
    t.finish(t.insert_and_claim());
    EXPECT_THAT(t.peek(), SizeIs(0));
  });
}

}  // namespace

void add_claim_cases(StoreCases& cases) {
  add_grant_cases(cases);
  add_claim_refusal_cases(cases);
  add_peek_cases(cases);
}

}  // namespace carrel::conformance
