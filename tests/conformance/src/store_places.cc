// Who has the places of a key or queue, and who takes none.
#include <gmock/gmock.h>

#include <utility>

#include "rate_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;

// What cannot run takes no place of its key or queue from what can.
void add_held_place_cases(const Add& add) {
  add("Limit_AnExpiredTicketTakesNoPlaceOfItsKey", [](StoreCase& t) {
    NewJob late = in_queue("a", limited("k"));
    late.start_within = 500ms;
    const JobId expired = t.insert(late);
    const JobId other = t.insert(in_queue("b", limited("k")));
    t.advance(1s);
    const auto answers = must(t.try_claim({expired, other}));
    ASSERT_FALSE(answers[0]);
    EXPECT_EQ(answers[0].error(), Refusal::kGone);
    EXPECT_TRUE(answers[1]);
  });

  add("Limit_ATicketOfAPausedQueueTakesNoPlaceOfItsKey", [](StoreCase& t) {
    const JobId held = t.insert(in_queue("a", limited("k")));
    const JobId other = t.insert(in_queue("b", limited("k")));
    t.pause("a");
    const auto answers = must(t.try_claim({held, other}));
    ASSERT_FALSE(answers[0]);
    EXPECT_EQ(answers[0].error(), Refusal::kPaused);
    EXPECT_TRUE(answers[1]);
  });

  add("Limit_ATicketThatComesTwiceTakesOnePlace", [](StoreCase& t) {
    const auto ids = t.insert_many(2, limited("k", 2));
    const auto answers = must(t.try_claim({ids[0], ids[0], ids[1]}));
    EXPECT_TRUE(answers[0]);
    ASSERT_FALSE(answers[1]);
    EXPECT_EQ(answers[1].error(), Refusal::kGone);
    EXPECT_TRUE(answers[2]);
  });

  add("Limit_AnExpiredTicketTakesNoPlaceInItsQueue", [](StoreCase& t) {
    if (!t.traits().queue_limits) GTEST_SKIP() << "the store holds no queue limits";
    t.options().queue_limits["a"] = 1;
    t.create_again();
    NewJob late = in_queue("a", t.job());
    late.start_within = 500ms;
    const JobId expired = t.insert(late);
    const JobId other = t.insert(in_queue("a", t.job()));
    t.advance(1s);
    const auto answers = must(t.try_claim({expired, other}));
    EXPECT_FALSE(answers[0]);
    EXPECT_TRUE(answers[1]);
  });

  add("Limit_ATicketThatItsQueueRefusesTakesNoPlaceOfItsKey", [](StoreCase& t) {
    if (!t.traits().queue_limits) GTEST_SKIP() << "the store holds no queue limits";
    t.options().queue_limits["a"] = 1;
    t.create_again();
    t.insert_and_claim(in_queue("a", t.job()));
    const JobId full = t.insert(in_queue("a", limited("k")));
    const JobId other = t.insert(in_queue("b", limited("k")));
    const auto answers = must(t.try_claim({full, other}));
    ASSERT_FALSE(answers[0]);
    EXPECT_EQ(answers[0].error(), Refusal::kLimited);
    EXPECT_TRUE(answers[1]);
  });

  add("Limit_ATicketThatItsKeyRefusesTakesNoPlaceInItsQueue", [](StoreCase& t) {
    if (!t.traits().queue_limits) GTEST_SKIP() << "the store holds no queue limits";
    t.options().queue_limits["a"] = 1;
    t.create_again();
    const JobId holder = t.insert(in_queue("b", limited("k")));
    const JobId refused = t.insert(in_queue("a", limited("k")));
    const JobId other = t.insert(in_queue("a", t.job()));
    const auto answers = must(t.try_claim({holder, refused, other}));
    EXPECT_TRUE(answers[0]);
    ASSERT_FALSE(answers[1]);
    EXPECT_EQ(answers[1].error(), Refusal::kLimited);
    EXPECT_TRUE(answers[2]);
  });

  add("Limit_AJobThatItsKeyRefusesTakesNoPlaceInItsQueue", [](StoreCase& t) {
    if (!t.traits().queue_limits) GTEST_SKIP() << "the store holds no queue limits";
    const auto source = t.store().claim_source();
    if (!source) GTEST_SKIP() << "the store is no queue";
    t.options().queue_limits["a"] = 1;
    t.create_again();
    NewJob holder = in_queue("b", limited("k"));
    holder.kind = "holder";
    const JobId first = t.insert(holder);
    const JobId refused = t.insert(in_queue("a", limited("k")));
    t.claim(first);
    const JobId best = t.insert(in_queue("a", limited("l")));
    NewJob worse = in_queue("b", limited("l"));
    worse.priority = 1;
    t.insert(worse);
    EXPECT_THAT(claim_best(*t.store().claim_source(), 5, 1), ElementsAre(best));
    EXPECT_NE(t.state(refused), State::kRunning);
  });

  add("Limit_WhoWaitsGoesBeforeWhatFallsDue", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(limited("k"));
    const JobId waits = t.insert(limited("k"));
    NewJob later = limited("k");
    later.delay = kLease;
    const JobId due = t.insert(later);
    t.cancel(run.lease.id);
    t.advance(kLease + 1s);
    t.sweep_all();
    EXPECT_EQ(t.state(waits), State::kAvailable);
    EXPECT_EQ(t.state(due), State::kPending);
  });

  add("Limit_AClaimIsInOrderAlsoWhereItChoseAgain", [](StoreCase& t) {
    if (!t.store().claim_source()) GTEST_SKIP() << "the store is no queue";
    const JobId first = t.insert(limited("many", 3));
    const JobId second = t.insert(limited("many", 3));
    const JobId third = t.insert(limited("one"));
    NewJob late = limited("many", 3);
    late.start_within = 1s;
    t.insert(late);
    NewJob of_another_lane = limited("many", 3);
    of_another_lane.kind = "other";
    const JobId fourth = t.insert(of_another_lane);
    t.advance(2s);
    t.sweep_all();
    t.insert(in_queue("b", limited("one")));
    const std::vector<std::string> kinds{"work", "other"};
    const auto runs =
        must(t.store().claim_source()->claim({{}, kinds, 20}, kWorker, 1, kLease, 0s));
    std::vector<JobId> ids;
    for (const Claimed& run : runs) ids.push_back(run.lease.id);
    EXPECT_THAT(ids, ElementsAre(first, second, third, fourth));
  });

  add("Limit_WhatWasRefusedChangesNothing", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(in_queue("a", limited("k")));
    const JobId other = t.insert(in_queue("b", limited("k")));
    const State before = t.state(other);
    Lease stale = run.lease;
    stale.id = other;
    EXPECT_EQ(t.finish(t.finish_of(stale)).kind, Finished::Kind::kStale);
    EXPECT_EQ(t.state(other), before);
  });
}

void add_key_cases(const Add& add) {
  using Pair = std::pair<std::string, std::string>;
  static const Pair kAlike[] = {{"user:bob", "user:Bob"}, {"a", "\u00e1"}, {"x", "x "}};

  add("Limit_KeysThatDifferInCaseAccentsOrBlanksAreTwo", [](StoreCase& t) {
    for (const auto& [one, other] : kAlike) {
      std::vector<Finish> ends;
      for (const JobId id : {t.insert(in_queue("a", limited(one))),
                             t.insert(in_queue("b", limited(other)))}) {
        ends.push_back(t.finish_of(t.claim(id).lease));
      }
      const JobId mine = t.insert(in_queue("a", limited(one)));
      const JobId others = t.insert(in_queue("b", limited(other)));
      for (auto& end : t.store().finish(ends)) must(std::move(end));
      EXPECT_EQ(t.state(mine), State::kAvailable) << one;
      EXPECT_EQ(t.state(others), State::kAvailable) << other;
      for (const JobId id : {mine, others}) t.finish(t.claim(id));
    }
  });

  add("Limit_RatesOfKeysThatDifferInCaseAccentsOrBlanksAreTwo", [](StoreCase& t) {
    if (!t.traits().rates) GTEST_SKIP() << "the store has no rates";
    for (const auto& [one, other] : kAlike) {
      const std::vector<NewJob> jobs{in_queue("a", rated(one)),
                                     in_queue("b", rated(other))};
      for (auto& answer : t.store().insert(jobs, kPatience)) {
        EXPECT_TRUE(must(std::move(answer)).ticket) << one;
      }
    }
  });
}

}  // namespace

void add_place_cases(StoreCases& cases) {
  const Add add = [&](const char* name, StoreCases::Body body) {
    cases.add(name, [body = std::move(body)](StoreCase& t) {
      if (!t.traits().limits) GTEST_SKIP() << "the store has no limits";
      body(t);
    });
  };
  add_held_place_cases(add);
  add_key_cases(add);
}

}  // namespace carrel::conformance
