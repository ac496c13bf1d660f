// What people do to jobs: cancel and retry.
#include <gmock/gmock.h>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

Result<Ticket> retry(StoreCase& t, JobId id) {
  auto answers = t.store().retry({&id, 1});
  EXPECT_EQ(answers.size(), 1U);
  return answers.empty() ? fail(Code::kInternal, "no answer") : std::move(answers[0]);
}

void add_cancel_cases(StoreCases& cases) {
  cases.add("Cancel_AJobThatHasNotStartedIsFinalNow", [](StoreCase& t) {
    const JobId available = t.insert(t.job());
    NewJob later = t.job();
    later.delay = 1h;
    const JobId scheduled = t.insert(later);
    const Claimed run = t.insert_and_claim();
    t.finish(run, Verdict::kRetry, 1h);
    for (JobId id : {available, scheduled, run.lease.id}) {
      EXPECT_EQ(t.cancel(id), Cancelled::kCancelled);
      const JobRecord r = t.record(id);
      EXPECT_EQ(r.state, State::kCancelled);
      EXPECT_TRUE(r.ended.has_value());
    }
    EXPECT_THAT(t.peek(), SizeIs(0));
    EXPECT_FALSE(t.claim_answer(available).has_value());
    t.advance(2h);
    t.sweep_all();
    EXPECT_EQ(t.state(scheduled), State::kCancelled) << "it must not fall due any more";
  });

  cases.add("Cancel_ARunningJobIsRequested", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    EXPECT_EQ(t.cancel(run.lease.id), Cancelled::kRequested);
    EXPECT_EQ(t.cancel(run.lease.id), Cancelled::kRequested);
    const JobRecord r = t.record(run.lease.id);
    EXPECT_EQ(r.state, State::kRunning);
    EXPECT_TRUE(r.cancel_requested);
    EXPECT_EQ(t.finish(run, Verdict::kCancelled).state, State::kCancelled);
  });

  cases.add("Cancel_IsHeededWhenTheWorkerDies", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.cancel(run.lease.id);
    t.advance(kLease + 1s);
    const Swept swept = t.sweep();
    EXPECT_THAT(swept.due, SizeIs(0));
    EXPECT_EQ(t.state(run.lease.id), State::kCancelled);
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kStale);
  });

  cases.add("Cancel_AnswersAlign", [](StoreCase& t) {
    const Claimed done = t.insert_and_claim();
    t.finish(done);
    const Claimed running = t.insert_and_claim();
    const JobId waiting = t.insert(t.job());
    const JobId ids[] = {JobId{31'337}, waiting, done.lease.id, running.lease.id,
                         waiting};
    EXPECT_THAT(
        must(t.store().cancel(ids)),
        ElementsAre(Cancelled::kNotFound, Cancelled::kCancelled, Cancelled::kAlreadyFinal,
                    Cancelled::kRequested, Cancelled::kAlreadyFinal));
    EXPECT_EQ(t.state(done.lease.id), State::kCompleted);
    EXPECT_THAT(must(t.store().cancel({})), SizeIs(0));
  });
}

void add_retry_cases(StoreCases& cases) {
  cases.add("Retry_AFinalJobRunsAgain", [](StoreCase& t) {
    for (Verdict verdict :
         {Verdict::kCompleted, Verdict::kDiscarded, Verdict::kCancelled}) {
      const Claimed run = t.insert_and_claim();
      t.finish(run, verdict);
      const Ticket ticket = must(retry(t, run.lease.id));
      EXPECT_EQ(ticket.id, run.lease.id);
      EXPECT_EQ(ticket.kind, "work");
      EXPECT_EQ(ticket.queue, "default");
      const JobRecord r = t.record(run.lease.id);
      EXPECT_EQ(r.state, State::kAvailable);
      EXPECT_FALSE(r.cancel_requested);
      const Claimed again = t.claim(run.lease.id);
      EXPECT_GT(value(again.lease.fence), value(run.lease.fence));
      EXPECT_EQ(t.beat(again.lease), Pulse::kAlive);
      t.finish(again);
    }
  });

  cases.add("Retry_AScheduledOrRetryableJobRunsNow", [](StoreCase& t) {
    NewJob later = t.job();
    later.delay = 1h;
    const JobId scheduled = t.insert(later);
    const Claimed run = t.insert_and_claim();
    t.finish(run, Verdict::kRetry, 1h);
    must(retry(t, scheduled));
    must(retry(t, run.lease.id));
    EXPECT_EQ(t.claim(scheduled).attempt, 1);
    EXPECT_EQ(t.claim(run.lease.id).attempt, 2);
  });

  cases.add("Retry_LeavesAnAttemptAndClearsTheCrashes", [](StoreCase& t) {
    NewJob job = t.job();
    job.max_attempts = 1;
    const Claimed run = t.insert_and_claim(job);
    Finish crash = t.finish_of(run.lease, Verdict::kRetry);
    crash.crashed = true;
    EXPECT_EQ(t.finish(crash).state, State::kDiscarded);
    must(retry(t, run.lease.id));
    const JobRecord r = t.record(run.lease.id);
    EXPECT_EQ(r.crashes, 0);
    EXPECT_GT(r.max_attempts, r.attempt);
    const Claimed again = t.claim(run.lease.id);
    EXPECT_EQ(again.crashes, 0);
    EXPECT_LE(again.attempt, again.max_attempts);
    EXPECT_EQ(t.finish(again).state, State::kCompleted);
  });

  cases.add("Retry_AnExpiredJobDoesNotExpireAgainAtOnce", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 1s;
    const JobId id = t.insert(brief);
    t.advance(1h);
    t.sweep_all();
    ASSERT_EQ(t.state(id), State::kDiscarded);
    must(retry(t, id));
    t.sweep_all();
    EXPECT_TRUE(t.claim_answer(id).has_value());
  });

  cases.add("Retry_RefusesWhatRunsOrIsAvailable", [](StoreCase& t) {
    const JobId available = t.insert(t.job());
    const Claimed run = t.insert_and_claim();
    const JobId ids[] = {available, run.lease.id, JobId{90'909}};
    const auto answers = t.store().retry(ids);
    ASSERT_THAT(answers, SizeIs(3));
    ASSERT_FALSE(answers[0].has_value());
    EXPECT_EQ(answers[0].error().code, Code::kInvalid);
    ASSERT_FALSE(answers[1].has_value());
    EXPECT_EQ(answers[1].error().code, Code::kInvalid);
    ASSERT_FALSE(answers[2].has_value());
    EXPECT_EQ(answers[2].error().code, Code::kNotFound);
    EXPECT_NE(answers[2].error().message.find("90909"), std::string::npos)
        << "the message names the job: " << answers[2].error().message;
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kApplied) << "its run goes on";
  });

  // Between the list and the retry: one runs again, one waits again, one has been retried
  // and completed, one is named twice.
  cases.add("Retry_OfManyPassesOverThoseThatMovedOnMeanwhile", [](StoreCase& t) {
    for (int i = 0; i < 6; ++i) t.finish(t.insert_and_claim(), Verdict::kDiscarded);
    Filter discarded;
    discarded.states = {State::kDiscarded};
    std::vector<JobId> ids;
    for (const JobRecord& r : must(t.store().monitor().list(discarded, JobId{0}, 10))) {
      ids.push_back(r.id);
    }
    ASSERT_THAT(ids, SizeIs(6));
    must(retry(t, ids[1]));
    const Claimed runs = t.claim(ids[1]);
    must(retry(t, ids[2]));
    must(retry(t, ids[3]));
    t.finish(t.claim(ids[3]));
    ids.push_back(ids[0]);
    const auto answers = t.store().retry(ids);
    ASSERT_THAT(answers, SizeIs(7));
    for (const std::size_t i : {0, 3, 4, 5}) {
      ASSERT_TRUE(answers[i].has_value()) << i << ": " << answers[i].error().message;
      EXPECT_EQ(answers[i]->id, ids[i]);
      EXPECT_EQ(t.state(ids[i]), State::kAvailable) << i;
    }
    for (const std::size_t i : {1, 2, 6}) {
      ASSERT_FALSE(answers[i].has_value()) << i;
      EXPECT_EQ(answers[i].error().code, Code::kInvalid) << i;
    }
    EXPECT_EQ(t.state(ids[2]), State::kAvailable);
    EXPECT_EQ(t.finish(runs).kind, Finished::Kind::kApplied) << "its run goes on";
  });

  cases.add("Retry_TheOldRunStaysFencedOff", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.finish(run, Verdict::kDiscarded);
    must(retry(t, run.lease.id));
    const Claimed again = t.claim(run.lease.id);
    EXPECT_NE(t.finish(run).kind, Finished::Kind::kApplied);
    EXPECT_EQ(t.beat(run.lease, true), Pulse::kStale);
    EXPECT_EQ(t.finish(again).kind, Finished::Kind::kApplied);
  });
}

}  // namespace

void add_operator_cases(StoreCases& cases) {
  add_cancel_cases(cases);
  add_retry_cases(cases);
}

}  // namespace carrel::conformance
