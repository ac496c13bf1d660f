#include <gmock/gmock.h>

#include "store_case.h"

namespace carrel::conformance {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

void add_pause_cases(StoreCases& cases) {
  cases.add("Pause_HoldsBackOnlyItsQueue", [](StoreCase& t) {
    NewJob job = t.job();
    job.queue = "images";
    const JobId held = t.insert(job);
    const JobId other = t.insert(t.job());
    t.pause("images");
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(other));
    EXPECT_TRUE(t.claim_answer(other).has_value());
    EXPECT_EQ(t.claim_answer(held).error(), Refusal::kPaused);
    EXPECT_THAT(must(t.store().monitor().paused()), ElementsAre("images"));
  });

  cases.add("Pause_WhatRunsGoesOn", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.pause("default");
    EXPECT_EQ(t.beat(run.lease, true), Pulse::kAlive);
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kApplied);
  });

  cases.add("Pause_HoldsForJobsThatComeLater", [](StoreCase& t) {
    t.pause("default");
    const JobId id = t.insert(t.job());
    EXPECT_EQ(t.state(id), State::kAvailable) << "it may be enqueued";
    EXPECT_EQ(t.claim_answer(id).error(), Refusal::kPaused);
    NewJob later = t.job();
    later.delay = 1s;
    const JobId due = t.insert(later);
    t.advance(1s);
    t.sweep_all();
    EXPECT_EQ(t.claim_answer(due).error(), Refusal::kPaused);
    EXPECT_THAT(t.peek(), IsEmpty());
  });

  cases.add("Pause_ResumeAnswersWithTickets", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    t.pause("default");
    const auto tickets = t.resume("default");
    EXPECT_THAT(ids_of(tickets), ElementsAre(id));
    EXPECT_THAT(must(t.store().monitor().paused()), IsEmpty());
    EXPECT_TRUE(t.claim_answer(id).has_value());
  });

  cases.add("Pause_IsIdempotentAndKnowsQueuesThatAreEmpty", [](StoreCase& t) {
    EXPECT_THAT(t.resume("nobody"), IsEmpty());
    t.pause("zulu");
    t.pause("alpha");
    t.pause("zulu");
    EXPECT_THAT(must(t.store().monitor().paused()), ElementsAre("alpha", "zulu"));
    t.resume("zulu");
    EXPECT_THAT(must(t.store().monitor().paused()), ElementsAre("alpha"));
  });

  cases.add("Pause_ExpiryGoesOn", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 1s;
    const JobId id = t.insert(brief);
    t.pause("default");
    t.advance(1s);
    t.sweep_all();
    EXPECT_EQ(t.state(id), State::kDiscarded);
    EXPECT_THAT(t.resume("default"), IsEmpty());
  });

  cases.add("Pause_RefusesAQueueNameThatCannotBe", [](StoreCase& t) {
    for (const std::string& name :
         {std::string(), std::string(129, 'q'), std::string("a\nb")}) {
      const auto answer = t.store().set_paused(name, true);
      ASSERT_FALSE(answer.has_value()) << "'" << name << "'";
      EXPECT_EQ(answer.error().code, Code::kInvalid);
    }
    EXPECT_THAT(must(t.store().monitor().paused()), IsEmpty());
  });
}

}  // namespace carrel::conformance
