#include "store_rates.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <thread>

namespace carrel::conformance {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Gt;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;
using testing::UnorderedElementsAre;

// Far longer than any test takes, where the clock is a server's.
constexpr Duration kPeriod = 10min;
constexpr Duration kLong = 1000h;  // a lease that outlives every window here

NewJob rated(std::string key, std::uint32_t starts = 1, Duration period = kPeriod) {
  NewJob job = StoreCase::job();
  job.rate = Rate{std::move(key), starts, period};
  return job;
}

Claimed begin(StoreCase& t, JobId id) { return t.claim(id, kWorker, kLong); }

void run(StoreCase& t, JobId id) { t.finish(begin(t, id)); }

std::vector<JobId> claim_best(ClaimSource& source, std::size_t max,
                              std::uint64_t number) {
  static const std::vector<std::string> kKinds = {"work"};
  std::vector<JobId> ids;
  for (const Claimed& claimed :
       must(source.claim({{}, kKinds, max}, kWorker, 1000 + number, kLong, 0s))) {
    ids.push_back(claimed.lease.id);
  }
  return ids;
}

using Add = std::function<void(const char*, StoreCases::Body)>;

void add_window_cases(const Add& add) {
  add("Rate_NoMoreBeginThanItSays", [](StoreCase& t) {
    const auto ids = t.insert_many(3, rated("user:7", 2));
    run(t, ids[0]);
    run(t, ids[1]);
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    EXPECT_EQ(t.state(ids[2]), State::kPending);
    EXPECT_THAT(t.sweep_all().due, IsEmpty()) << "that they have ended changes nothing";
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
    EXPECT_EQ(t.state(ids[2]), State::kAvailable);
    run(t, ids[2]);
  });

  add("Rate_TheWindowSlides", [](StoreCase& t) {
    const auto ids = t.insert_many(4, rated("k", 2));
    run(t, ids[0]);
    t.advance(4min);
    run(t, ids[1]);
    t.advance(5min);  // 9
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    t.advance(1min);  // 10: the first is out of it
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
    run(t, ids[2]);
    t.advance(3min);  // 13
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    t.advance(1min);  // 14: the second is
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[3]));
  });

  add("Rate_WhatMustWaitIsPendingAndNotPeeked", [](StoreCase& t) {
    const auto ids = t.insert_many(3, rated("k"));
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(ids[0]));
    EXPECT_EQ(t.state(ids[1]), State::kPending);
    run(t, ids[0]);
    EXPECT_THAT(t.peek(), IsEmpty());
    const auto counts = must(t.store().monitor().counts());
    EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kPending)], 2U);
  });

  add("Rate_TheTicketComesWithTheInsertOnlyWhereItCanBegin", [](StoreCase& t) {
    const std::vector<NewJob> jobs(2, rated("k"));
    auto answers = t.store().insert(jobs, kPatience);
    EXPECT_TRUE(must(std::move(answers[0])).ticket.has_value());
    EXPECT_FALSE(must(std::move(answers[1])).ticket.has_value());
  });

  add("Rate_OneKeyHoldsUpNoOther", [](StoreCase& t) {
    const auto mine = t.insert_many(2, rated("a"));
    const JobId other = t.insert(rated("b"));
    const JobId plain = t.insert(t.job());
    run(t, mine[0]);
    run(t, other);
    run(t, plain);
    EXPECT_EQ(t.claim_answer(mine[1]).error(), Refusal::kLimited);
  });

  add("Rate_AnOpenWindowWakesOnlyTheNext", [](StoreCase& t) {
    const auto ids = t.insert_many(300, rated("k", 3));
    EXPECT_THAT(t.peek(), SizeIs(3));
    for (int i = 0; i < 3; ++i) run(t, ids[static_cast<std::size_t>(i)]);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[3], ids[4], ids[5]));
    EXPECT_THAT(t.peek(), SizeIs(3));
    t.advance(kPeriod);
    EXPECT_THAT(t.sweep_all().due, IsEmpty()) << "those that may begin are there";
  });

  add("Rate_TheSweepSaysWhenTheWindowOpens", [](StoreCase& t) {
    const auto ids = t.insert_many(2, rated("k"));
    run(t, ids[0]);
    t.advance(4min);
    Swept swept = t.sweep_all();
    EXPECT_THAT(swept.next, AllOf(Gt(Duration{0}), Le(Duration(6min))));
    // It may have to look once more: the key is first looked at a period after its first
    // job came.
    for (int look = 0; look < 3 && swept.due.empty(); ++look) {
      t.advance(swept.next);
      swept = t.sweep_all();
    }
    EXPECT_THAT(ids_of(swept.due), ElementsAre(ids[1]));
  });

  add("Rate_AClaimThatWasRefusedIsWokenToo", [](StoreCase& t) {
    const JobId a = t.insert(rated("k"));
    NewJob elsewhere = rated("k");
    elsewhere.queue = "elsewhere";  // a lane of its own, and so available
    const JobId b = t.insert(elsewhere);
    run(t, a);
    EXPECT_EQ(t.state(b), State::kAvailable);
    EXPECT_EQ(t.claim_answer(b).error(), Refusal::kLimited);
    EXPECT_EQ(t.state(b), State::kPending);
    EXPECT_THAT(t.sweep_all().next, Le(kPeriod));
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(b));
    EXPECT_TRUE(t.claim_answer(b).has_value());
  });

  add("Rate_EachJobIsHeldToItsOwn", [](StoreCase& t) {
    const auto many = t.insert_many(3, rated("k", 5));
    for (const JobId id : many) run(t, id);
    t.advance(2min);
    NewJob hourly = rated("k", 4, 1h);
    hourly.queue = "hourly";
    const auto strict = t.insert_many(2, hourly);
    run(t, strict[0]);
    EXPECT_EQ(t.claim_answer(strict[1]).error(), Refusal::kLimited);
    const JobId fifth = t.insert(rated("k", 5));
    run(t, fifth);
    t.advance(kPeriod);
    t.sweep_all();
    EXPECT_EQ(t.state(strict[1]), State::kPending) << "five in its hour";
    run(t, t.insert(rated("k", 1)));
    t.advance(48min);  // the first three are out of the hour
    t.sweep_all();
    EXPECT_EQ(t.state(strict[1]), State::kAvailable);
  });

  add("Rate_IsShown", [](StoreCase& t) {
    const JobRecord record = t.record(t.insert(rated("user:9", 4, 90s)));
    ASSERT_TRUE(record.rate.has_value());
    EXPECT_EQ(record.rate->key, "user:9");
    EXPECT_EQ(record.rate->starts, 4U);
    EXPECT_EQ(record.rate->period, 90s);
    EXPECT_FALSE(record.limit.has_value());
    EXPECT_FALSE(t.record(t.insert(t.job())).rate.has_value());
    const auto listed = must(t.store().monitor().list({}, JobId{0}, 10));
    ASSERT_EQ(listed.size(), 2U);
    EXPECT_TRUE(listed[1].rate.has_value());
  });

  add("Rate_ABadOneIsRefusedAlone", [](StoreCase& t) {
    const std::vector<NewJob> jobs = {rated(""),
                                      rated("k", 0),
                                      rated(std::string(257, 'x')),
                                      rated("k", 1, 0s),
                                      rated("k", 1, -1s),
                                      rated("k", 1, 24h * 31 + 1us),
                                      rated("k", 1, 24h * 31)};
    const auto answers = t.store().insert(jobs, kPatience);
    ASSERT_EQ(answers.size(), jobs.size());
    for (std::size_t i = 0; i + 1 < jobs.size(); ++i) {
      ASSERT_FALSE(answers[i].has_value()) << i;
      EXPECT_EQ(answers[i].error().code, Code::kInvalid) << i;
    }
    EXPECT_TRUE(answers.back().has_value());
  });
}

void add_life_cases(const Add& add) {
  add("Rate_EveryAttemptThatBeganCounts", [](StoreCase& t) {
    for (const Verdict verdict :
         {Verdict::kCompleted, Verdict::kRetry, Verdict::kDiscarded, Verdict::kSnoozed,
          Verdict::kReleased}) {
      const std::string key = "k" + std::to_string(static_cast<int>(verdict));
      const Claimed first = begin(t, t.insert(rated(key)));
      const JobId next = t.insert(rated(key));
      EXPECT_THAT(ids_of(t.finish(first, verdict, 1h).freed),
                  testing::Not(testing::Contains(next)));
      const JobId lane = t.insert(rated(key));
      for (const JobId id : {next, lane}) {
        EXPECT_EQ(t.claim_answer(id).error(), Refusal::kLimited) << key;
      }
    }
  });

  add("Rate_AReleasedJobWaitsForItsWindow", [](StoreCase& t) {
    const JobId id = t.insert(rated("k"));
    t.finish(begin(t, id), Verdict::kReleased);
    EXPECT_EQ(t.state(id), State::kPending);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(id));
    EXPECT_EQ(begin(t, id).attempt, 1);
  });

  add("Rate_AClaimWhoseAnswerWasLostCounts", [](StoreCase& t) {
    const JobId lost = t.insert(rated("k"));
    begin(t, lost);
    must(t.store().beat(kWorker, t.last_claim_number(), {}, true, kLease));
    EXPECT_EQ(t.state(lost), State::kPending);
    t.advance(kPeriod);
    t.sweep_all();
    EXPECT_EQ(t.state(lost), State::kAvailable);
  });

  add("Rate_RetrySnoozeAndRescueKeepTheRate", [](StoreCase& t) {
    const JobId again = t.insert(rated("retry"));
    t.finish(begin(t, again), Verdict::kRetry, 1s);
    const JobId later = t.insert(rated("snooze"));
    t.finish(begin(t, later), Verdict::kSnoozed, 1s);
    const JobId lost = t.insert(rated("rescue"));
    t.claim(lost, kWorker, 1s);
    t.advance(31s);
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    for (const JobId id : {again, later, lost}) EXPECT_EQ(t.state(id), State::kPending);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), UnorderedElementsAre(again, later, lost));
  });

  add("Rate_AJobThatIsCancelledBeforeItsTurnGivesWay", [](StoreCase& t) {
    const auto ids = t.insert_many(3, rated("k"));
    EXPECT_EQ(t.cancel(ids[0]), Cancelled::kCancelled);
    EXPECT_EQ(t.state(ids[1]), State::kAvailable);
    EXPECT_EQ(t.cancel(ids[2]), Cancelled::kCancelled) << "a pending one too";
    run(t, ids[1]);
    t.advance(kPeriod);
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    EXPECT_EQ(t.state(ids[2]), State::kCancelled);
  });

  add("Rate_APendingJobExpiresToo", [](StoreCase& t) {
    run(t, t.insert(rated("k")));
    NewJob job = rated("k");
    job.start_within = 1min;
    const JobId id = t.insert(job);
    EXPECT_EQ(t.state(id), State::kPending);
    t.advance(2min);
    EXPECT_EQ(t.sweep_all().discarded, 1U);
    EXPECT_EQ(t.state(id), State::kDiscarded);
    t.advance(kPeriod);
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
  });

  add("Rate_AnOperatorsRetryWaitsForTheWindow", [](StoreCase& t) {
    const JobId id = t.insert(rated("k"));
    run(t, id);
    must(std::move(t.store().retry({&id, 1})[0]));
    EXPECT_EQ(t.state(id), State::kPending);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(id));
  });

  add("Rate_ADelayedJobIsHeldWhenItFallsDue", [](StoreCase& t) {
    NewJob delayed = rated("k");
    delayed.delay = 2min;
    const auto ids = t.insert_many(2, delayed);
    run(t, t.insert(rated("k")));
    t.advance(3min);
    EXPECT_THAT(t.sweep_all().due, IsEmpty());
    EXPECT_EQ(t.state(ids[0]), State::kPending);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), SizeIs(1));
  });

  add("Rate_APausedQueueHoldsUpNoOther", [](StoreCase& t) {
    NewJob paused = rated("k");
    paused.queue = "paused";
    t.pause("paused");
    const JobId waits = t.insert(paused);
    const auto ids = t.insert_many(2, rated("k"));
    run(t, ids[0]);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[1]));
    t.resume("paused");
    EXPECT_TRUE(t.claim_answer(waits).has_value());
  });

  add("Rate_StartsOutliveTheirJobs", [](StoreCase& t) {
    t.options().retention.completed = 0s;
    t.create_again();
    const auto ids = t.insert_many(3, rated("k", 2));
    run(t, ids[0]);
    run(t, ids[1]);
    ASSERT_TRUE(t.gone(ids[0]));
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
    run(t, ids[2]);
    t.advance(kPeriod * 3);
    t.sweep_all();  // forgets what has no meaning any more
    t.advance(kPeriod * 3);
    EXPECT_EQ(t.sweep_all().next, Duration::max());
    EXPECT_EQ(t.state(t.insert(rated("k"))), State::kAvailable);
  });

  add("Rate_AReplacedJobIsHeldToTheRateOfItsNewArguments", [](StoreCase& t) {
    if (!t.traits().unique) GTEST_SKIP() << "the store has no unique keys";
    const auto unique = [](const char* key, OnConflict how) {
      NewJob job = rated(key);
      job.unique =
          Unique{"u", 0s, {State::kPending, State::kScheduled, State::kAvailable}, how};
      return job;
    };
    const auto insert = [&](const NewJob& job) {
      return must(std::move(t.store().insert({&job, 1}, kPatience)[0]));
    };
    run(t, t.insert(rated("one")));
    const JobId id = t.insert(unique("one", OnConflict::kSkip));
    EXPECT_EQ(t.state(id), State::kPending);
    const Inserted moved = insert(unique("two", OnConflict::kReplaceKeepTime));
    EXPECT_TRUE(moved.replaced);
    EXPECT_TRUE(moved.ticket.has_value());
    EXPECT_EQ(t.state(id), State::kAvailable) << "of that key none has begun";
    EXPECT_EQ(t.record(id).rate->key, "two");
    EXPECT_TRUE(insert(unique("one", OnConflict::kReplace)).replaced);
    EXPECT_EQ(t.state(id), State::kPending);
    EXPECT_EQ(t.state(t.insert(rated("two"))), State::kAvailable);
    NewJob without = unique("", OnConflict::kReplace);
    without.rate.reset();
    EXPECT_TRUE(insert(without).replaced);
    EXPECT_EQ(t.state(id), State::kAvailable);
    EXPECT_FALSE(t.record(id).rate.has_value());
  });

  add("Invariant9_RatesAreCountedOverRowsAfterACrash", [](StoreCase& t) {
    if (!t.traits().durable) GTEST_SKIP() << "the rows go with the process";
    const auto ids = t.insert_many(3, rated("k", 2));
    begin(t, ids[0]);
    t.reopen();
    begin(t, ids[1]);
    t.reopen();
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
  });
}

NewJob both(std::string limit, std::string rate, std::uint32_t running,
            std::uint32_t starts) {
  NewJob job = rated(std::move(rate), starts);
  job.limit = Limit{std::move(limit), running};
  return job;
}

void add_limit_and_rate_cases(const Add& plain_add) {
  const Add add = [&](const char* name, StoreCases::Body body) {
    plain_add(name, [body = std::move(body)](StoreCase& t) {
      if (!t.traits().limits) GTEST_SKIP() << "the store has no limits";
      body(t);
    });
  };

  add("Rate_WithALimitBothHold", [](StoreCase& t) {
    const auto ids = t.insert_many(4, both("k", "k", 1, 2));
    const Claimed first = begin(t, ids[0]);
    EXPECT_EQ(t.claim_answer(ids[1]).error(), Refusal::kLimited);
    EXPECT_THAT(ids_of(t.finish(first).freed), ElementsAre(ids[1]));
    const Claimed second = begin(t, ids[1]);
    EXPECT_THAT(t.finish(second).freed, IsEmpty()) << "two have begun";
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
    const Claimed third = begin(t, ids[2]);
    EXPECT_EQ(t.claim_answer(ids[3]).error(), Refusal::kLimited) << "one runs";
    EXPECT_THAT(ids_of(t.finish(third).freed), ElementsAre(ids[3]));
    const JobRecord record = t.record(ids[3]);
    EXPECT_TRUE(record.limit && record.rate);
  });

  add("Rate_AWindowThatOpensWhileTheLimitIsFullLosesNobody", [](StoreCase& t) {
    const auto ids = t.insert_many(3, both("k", "k", 1, 1));
    const Claimed first = begin(t, ids[0]);
    t.advance(kPeriod);
    EXPECT_THAT(t.sweep_all().due, IsEmpty()) << "it still runs";
    EXPECT_THAT(ids_of(t.finish(first).freed), ElementsAre(ids[1]));
    const Claimed second = begin(t, ids[1]);
    EXPECT_THAT(t.finish(second).freed, IsEmpty());
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(ids[2]));
  });

  add("Rate_WhoWaitsForAWindowHoldsUpNoOtherOfItsLimit", [](StoreCase& t) {
    run(t, t.insert(rated("slow")));
    const Claimed busy = begin(t, t.insert(both("shared", "free", 1, 100)));
    const auto slow = t.insert_many(5, both("shared", "slow", 1, 1));
    const JobId other = t.insert(both("shared", "free", 1, 100));
    EXPECT_THAT(ids_of(t.finish(busy).freed), ElementsAre(other));
    const Claimed run_of_other = begin(t, other);
    t.advance(kPeriod);
    EXPECT_THAT(t.sweep_all().due, IsEmpty()) << "the limit is full";
    EXPECT_THAT(ids_of(t.finish(run_of_other).freed), ElementsAre(slow[0]));
  });

  add("Rate_AClosedWindowSendsTheLimitToTheNext", [](StoreCase& t) {
    const Claimed busy = begin(t, t.insert(both("shared", "free", 1, 100)));
    const auto slow = t.insert_many(3, both("shared", "slow", 1, 1));
    const JobId other = t.insert(both("shared", "free", 1, 100));
    run(t, t.insert(rated("slow")));  // fills the window of those that wait for the limit
    EXPECT_THAT(ids_of(t.finish(busy).freed), ElementsAre(other));
    run(t, other);
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(slow[0]));
    t.finish(begin(t, slow[0]));
    t.advance(kPeriod);
    EXPECT_THAT(ids_of(t.sweep_all().due), ElementsAre(slow[1]));
  });

  add("Rate_HoweverManyAClosedWindowHoldsTheirLimitGoesToTheNext", [](StoreCase& t) {
    const Claimed busy = begin(t, t.insert(both("shared", "free", 1, 100)));
    t.insert_many(600, both("shared", "slow", 1, 1));
    while (t.sweep_all().next <= Duration::zero()) {
      // A store may look at so many a few at a time.
    }
    const JobId other = t.insert(both("shared", "free", 1, 100));
    run(t, t.insert(rated("slow")));
    EXPECT_THAT(ids_of(t.finish(busy).freed), ElementsAre(other));
    EXPECT_THAT(t.finish(begin(t, other)).freed, IsEmpty());
  });

  add("Rate_WhoWaitsForALimitHoldsUpNoOtherOfItsRate", [](StoreCase& t) {
    begin(t, t.insert(both("busy", "r", 1, 10)));
    t.insert_many(20, both("busy", "r", 1, 10));
    const auto others = t.insert_many(2, both("idle", "r", 1, 10));
    EXPECT_EQ(t.state(others[0]), State::kAvailable);
    run(t, others[0]);
    run(t, others[1]);
  });

  add("Rate_CancelOfOneThatWaitsForItsWindowTellsItsLimit", [](StoreCase& t) {
    const auto ids = t.insert_many(3, both("k", "r", 1, 1));
    run(t, ids[0]);  // the next goes over to the window
    EXPECT_EQ(t.cancel(ids[1]), Cancelled::kCancelled);
    t.advance(kPeriod);
    t.sweep_all();
    EXPECT_EQ(t.state(ids[2]), State::kAvailable);
  });
}

void add_claim_source_cases(const Add& add) {
  add("Rate_TheFusedClaimTakesOthersInstead", [](StoreCase& t) {
    auto source = t.store().claim_source();
    if (!source) GTEST_SKIP() << "the store is no queue";
    const auto a = t.insert_many(3, rated("a"));
    NewJob low = rated("a");
    low.priority = 5;
    const JobId lane = t.insert(low);  // a lane of its own, and so available
    const JobId b = t.insert(rated("b"));
    const JobId plain = t.insert(t.job());
    EXPECT_THAT(claim_best(*source, 10, 1), UnorderedElementsAre(a[0], b, plain));
    EXPECT_EQ(t.state(lane), State::kPending);
    EXPECT_THAT(claim_best(*source, 10, 2), IsEmpty());
    t.advance(kPeriod);
    t.sweep_all();
    EXPECT_THAT(claim_best(*source, 10, 3), SizeIs(1));
  });

  add("Invariant9_RatesHoldAmongManyWorkers", [](StoreCase& t) {
    constexpr int kWorkers = 4;
    constexpr std::size_t kKeys = 3;
    constexpr std::uint32_t kStarts = 5;
    std::vector<NewJob> jobs;
    for (std::size_t i = 0; i < kKeys * 40; ++i) {
      jobs.push_back(rated("key-" + std::to_string(i % kKeys), kStarts));
      jobs.back().payload = std::to_string(i % kKeys);
      // Two lanes a key: each has as many available as could begin alone.
      jobs.back().priority = static_cast<std::int16_t>(i / kKeys % 2);
    }
    for (auto& answer : t.store().insert(jobs, kPatience)) must(std::move(answer));
    const std::vector<std::string> kinds = {"work"};
    if (!t.store().claim_source()) GTEST_SKIP() << "the store is no queue";
    // Each over a store of its own where that shares the rows, as processes do.
    std::vector<std::unique_ptr<Store>> others;
    if (t.traits().reach != Reach::kProcess) {
      for (int w = 1; w < kWorkers; ++w) others.push_back(t.beside());
    }
    std::uint64_t number = 0;
    for (int round = 1; round <= 3; ++round) {
      std::array<std::atomic<int>, kKeys> begun{};
      std::vector<std::jthread> workers;
      for (int w = 0; w < kWorkers; ++w) {
        workers.emplace_back([&, w, first = number] {
          const std::string name = "rated-" + std::to_string(w);
          Store& store = others.empty() || w == 0
                             ? t.store()
                             : *others[static_cast<std::size_t>(w - 1)];
          auto source = store.claim_source();
          std::uint64_t claim = first;
          // Until nothing is to be had, twice: the first time others may hold a key.
          for (int empty = 0; empty < 2;) {
            const auto runs =
                must(source->claim({{}, kinds, 2}, name, ++claim, kLong, 10ms));
            empty = runs.empty() ? empty + 1 : 0;
            for (const Claimed& one : runs) {
              ++begun[std::stoul(one.payload)];
              const Finish end = StoreCase::finish_of(one.lease);
              for (auto& answer : store.finish({&end, 1})) must(std::move(answer));
            }
          }
        });
      }
      workers.clear();
      number += 1000;
      for (std::size_t key = 0; key < kKeys; ++key) {
        EXPECT_EQ(begun[key].load(), static_cast<int>(kStarts)) << round << " " << key;
      }
      t.advance(kPeriod);
      t.sweep_all();
    }
  });
}

// What began, by key and one after the other, as the store wrote it down.
struct Began {
  Time at;
  Rate rate;
};

// Each was let begin beside those before it.
void expect_windows_hold(const std::map<std::string, std::vector<Began>>& all) {
  for (const auto& [key, begun] : all) {
    for (std::size_t i = 0; i < begun.size(); ++i) {
      const Began& one = begun[i];
      const auto before =
          std::count_if(begun.begin(), begun.begin() + static_cast<std::ptrdiff_t>(i),
                        [&](const Began& b) { return b.at > one.at - one.rate.period; });
      EXPECT_LT(before, one.rate.starts)
          << key << " at " << one.at.time_since_epoch().count();
    }
  }
}

void add_random_cases(const Add& add) {
  add("Invariant9_RatesHoldForAnySchedule", [](StoreCase& t) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto chance = [&](int of) { return static_cast<int>(random() % unsigned(of)); };
    std::map<std::string, std::vector<Began>> begun;
    std::vector<JobId> ids;
    std::vector<Claimed> runs;
    const auto start = [&](Claimed run) {
      const JobRecord record = t.record(run.lease.id);
      if (record.rate) begun[record.rate->key].push_back({*record.started, *record.rate});
      runs.push_back(std::move(run));
    };
    const auto end = [&](Verdict verdict) {
      const auto which = static_cast<std::size_t>(chance(static_cast<int>(runs.size())));
      t.finish(runs[which], verdict, Duration(chance(20) * 1min));
      runs.erase(runs.begin() + static_cast<std::ptrdiff_t>(which));
    };
    const auto claim_peeked = [&] {
      auto tickets = t.peek(3);
      if (tickets.empty()) return;
      auto answers = must(t.store().claim(tickets, kWorker, 1 + ids.size(), kLong));
      for (auto& answer : answers) {
        if (answer) start(std::move(*answer));
      }
    };
    // The longest period is known from the start: what began is kept for so long.
    for (const char* key : {"key-0", "key-1"}) {
      ids.push_back(t.insert(rated(key, 3, 3 * kPeriod)));
    }
    for (int step = 0; step < 250; ++step) {
      switch (chance(8)) {
        case 0:
        case 1: {
          NewJob job = chance(6) == 0 ? StoreCase::job()
                                      : rated("key-" + std::to_string(chance(2)),
                                              static_cast<std::uint32_t>(1 + chance(3)),
                                              chance(3) == 0 ? 3 * kPeriod : kPeriod);
          if (t.traits().limits && chance(3) == 0) {
            job.limit = Limit{"limit-" + std::to_string(chance(2)), 1};
          }
          if (chance(4) == 0) job.queue = "other";
          if (chance(4) == 0) job.delay = Duration(chance(20) * 1min);
          job.max_attempts = 1000;
          for (const JobId id :
               t.insert_many(static_cast<std::size_t>(1 + chance(4)), job)) {
            ids.push_back(id);
          }
          break;
        }
        case 2:
        case 3:
          claim_peeked();
          break;
        case 4:
          if (!runs.empty()) {
            constexpr std::array kHow = {Verdict::kCompleted, Verdict::kRetry,
                                         Verdict::kSnoozed, Verdict::kReleased};
            end(kHow[static_cast<std::size_t>(chance(4))]);
          }
          break;
        case 5:
          t.advance(Duration(chance(10) * 1min));
          break;
        case 6:
          t.sweep();
          break;
        default:
          if (!ids.empty() && chance(4) == 0) {
            t.cancel(ids[static_cast<std::size_t>(chance(static_cast<int>(ids.size())))]);
          }
      }
    }
    // And none is lost: where the windows open again and runs end, all come to theirs.
    const auto left = [&] {
      const Counts counts = must(t.store().monitor().counts());
      std::uint64_t waiting = 0;
      for (const State state : {State::kPending, State::kScheduled, State::kAvailable,
                                State::kRunning, State::kRetryable}) {
        waiting += counts.total[static_cast<std::size_t>(state)];
      }
      return waiting;
    };
    for (int round = 0; left() > 0; ++round) {
      ASSERT_LT(round, 2000) << left() << " jobs wait for ever";
      const auto before = runs.size();
      claim_peeked();
      while (!runs.empty()) end(Verdict::kCompleted);
      if (before == 0 && t.peek(1).empty()) {
        const Duration next = t.sweep_all().next;
        ASSERT_NE(next, Duration::max()) << left() << " jobs wait, and nothing is due";
        t.advance(next + 1s);
        t.sweep_all();
      }
    }
    expect_windows_hold(begun);
  });
}

}  // namespace

void add_rate_cases(StoreCases& cases) {
  // Each says of itself that the store has no rates, rather than being left out.
  const Add add = [&](const char* name, StoreCases::Body body) {
    cases.add(name, [body = std::move(body)](StoreCase& t) {
      if (!t.traits().rates) GTEST_SKIP() << "the store counts no rates";
      body(t);
    });
  };
  add_window_cases(add);
  add_life_cases(add);
  add_limit_and_rate_cases(add);
  add_claim_source_cases(add);
  add_random_cases(add);

  cases.add("Rate_IsRefusedWhereTheStoreHasNone", [](StoreCase& t) {
    if (t.traits().rates) GTEST_SKIP() << "the store counts rates";
    const NewJob job = rated("k");
    const auto answers = t.store().insert({&job, 1}, kPatience);
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_FALSE(answers[0].has_value());
    EXPECT_EQ(answers[0].error().code, Code::kUnsupported);
  });
}

}  // namespace carrel::conformance
