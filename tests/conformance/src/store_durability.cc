// What must be there again when a store is closed and opened.
#include <gmock/gmock.h>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

// Adds a case for stores whose rows outlive them.
void add(StoreCases& cases, const char* name, std::function<void(StoreCase&)> body,
         const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  cases.add(
      name,
      [body = std::move(body)](StoreCase& t) {
        if (!t.traits().durable) GTEST_SKIP() << "store is not durable";
        ASSERT_TRUE(t.harness().reopen) << "the harness of a durable store must reopen";
        body(t);
      },
      file, line);
}

// Adds a case for stores that other processes see.
void add_shared(StoreCases& cases, const char* name,
                std::function<void(StoreCase&, Store& other)> body,
                const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  cases.add(
      name,
      [body = std::move(body)](StoreCase& t) {
        if (t.traits().reach == Reach::kProcess) {
          GTEST_SKIP() << "store's reach is its process";
        }
        ASSERT_TRUE(t.harness().reopen) << "the harness of a shared store must reopen";
        const auto other = t.beside();
        ASSERT_NE(other, nullptr);
        body(t, *other);
      },
      file, line);
}

void add_reopen_cases(StoreCases& cases) {
  add(cases, "Invariant1_EveryCommittedRowIsThereAfterReopen", [](StoreCase& t) {
    NewJob job = t.job(std::string("a\0b\xff", 4));
    job.request_id = "keep";
    job.priority = 3;
    const JobId waiting = t.insert(job);
    NewJob later = t.job();
    later.delay = 1h;
    t.insert(later);
    const Claimed running = t.insert_and_claim();
    const Claimed done = t.insert_and_claim();
    Finish finish = t.finish_of(done.lease);
    finish.result = "[1,2]";
    finish.attempt = Attempt{};
    finish.progress = Progress{1, "all"};
    finish.log = "line\n";
    t.finish(finish);
    const auto before = must(t.store().monitor().list({}, JobId{}, 100));
    t.reopen();
    const auto after = must(t.store().monitor().list({}, JobId{}, 100));
    EXPECT_EQ(Json(before), Json(after));
    EXPECT_EQ(t.record(waiting).payload, job.payload);
    EXPECT_EQ(t.record(done.lease.id).result, "[1,2]");

    auto again = t.store().insert({&job, 1}, kPatience);
    EXPECT_TRUE(must(again[0]).existed) << "request ids are remembered";
    EXPECT_EQ(t.finish(running).kind, Finished::Kind::kApplied)
        << "a run outlives the connection that claimed it";
    EXPECT_EQ(t.finish(finish).kind, Finished::Kind::kAlready)
        << "what was finished is remembered with its fence";
  });

  add(cases, "Invariant4_FencesAndIdsGoOnAfterReopen", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.finish(run, Verdict::kReleased);
    t.reopen();
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kAlready);
    const Claimed again = t.claim(run.lease.id);
    EXPECT_GT(value(again.lease.fence), value(run.lease.fence));
    EXPECT_GT(value(t.insert(t.job())), value(run.lease.id));
  });

  add(cases, "Invariant6_WhatWaitedOrRanIsFoundAfterReopen", [](StoreCase& t) {
    const JobId waiting = t.insert(t.job());
    const Claimed lost = t.insert_and_claim();
    NewJob later = t.job();
    later.delay = 10s;
    const JobId scheduled = t.insert(later);
    t.reopen();
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(waiting));
    t.advance(kLease);
    t.sweep_all();
    EXPECT_EQ(t.state(lost.lease.id), State::kAvailable);
    EXPECT_EQ(t.state(scheduled), State::kAvailable);
    EXPECT_THAT(t.peek(), SizeIs(3));
  });

  add(cases, "Durable_PausedQueuesStayPaused", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    t.pause("default");
    t.reopen();
    EXPECT_THAT(must(t.store().monitor().paused()), ElementsAre("default"));
    EXPECT_EQ(t.claim_answer(id).error(), Refusal::kPaused);
    t.resume("default");
    t.reopen();
    EXPECT_TRUE(t.claim_answer(id).has_value());
  });

  add(cases, "Durable_ACancelRequestIsRemembered", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.cancel(run.lease.id);
    t.reopen();
    EXPECT_EQ(t.beat(run.lease), Pulse::kCancel);
  });
}

void add_shared_cases(StoreCases& cases) {
  add_shared(cases, "Shared_WhatOneCommitsTheOtherSees", [](StoreCase& t, Store& other) {
    const JobId id = t.insert(t.job("from one"));
    EXPECT_EQ(must(other.monitor().job(id)).payload, "from one");
    const auto answers =
        must(other.claim(std::vector{StoreCase::ticket(id)}, "other-1", 1, kLease));
    ASSERT_TRUE(answers.at(0).has_value());
    EXPECT_EQ(t.claim_answer(id).error(), Refusal::kGone);
    EXPECT_EQ(t.cancel(id), Cancelled::kRequested);
    Beat beat;
    beat.lease = answers[0]->lease;
    EXPECT_THAT(must(other.beat("other-1", 1, {&beat, 1}, true, kLease)),
                ElementsAre(Pulse::kCancel));
  });

  add_shared(cases, "Shared_APauseHoldsForAll", [](StoreCase& t, Store& other) {
    const JobId id = t.insert(t.job());
    must(other.set_paused("default", true));
    EXPECT_EQ(t.claim_answer(id).error(), Refusal::kPaused);
    must(other.set_paused("default", false));
    EXPECT_TRUE(t.claim_answer(id).has_value());
  });

  add_shared(
      cases, "Shared_AnAwaitHearsOfAFinishElsewhere", [](StoreCase& t, Store& other) {
        const Claimed run = t.insert_and_claim();
        const Finish done = StoreCase::finish_of(run.lease);
        EXPECT_EQ(must(other.finish({&done, 1}).at(0)).kind, Finished::Kind::kApplied);
        EXPECT_THAT(must(t.store().await_final(std::vector{run.lease.id}, 1h)),
                    ElementsAre(run.lease.id));
      });

  add_shared(cases, "Shared_ARequestIdIsUniqueForAll", [](StoreCase& t, Store& other) {
    NewJob job = t.job();
    job.request_id = "only one";
    const JobId id = t.insert(job);
    auto again = other.insert({&job, 1}, kPatience);
    EXPECT_TRUE(must(again.at(0)).existed);
    EXPECT_EQ(must(again.at(0)).id, id);
  });
}

}  // namespace

void add_durability_cases(StoreCases& cases) {
  add_reopen_cases(cases);
  add_shared_cases(cases);
}

}  // namespace carrel::conformance
