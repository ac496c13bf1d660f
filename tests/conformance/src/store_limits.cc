#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <thread>

#include "limit_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

void add_ticket_cases(const Add& add) {
  add("Limit_NoMoreRunThanItSays", [](StoreCase& t) {
    const auto ids = t.insert_many(4, limited("community:7", 2));
    const Claimed first = t.claim(ids[0]);
    t.claim(ids[1]);
    EXPECT_EQ(t.claim_answer(ids[2]).error(), Refusal::kLimited);
    EXPECT_EQ(t.state(ids[2]), State::kPending);
    const Finished end = t.finish(first);
    EXPECT_THAT(ids_of(end.freed), ElementsAre(ids[2]));
    EXPECT_EQ(t.state(ids[2]), State::kAvailable);
    t.claim(ids[2]);
    EXPECT_EQ(t.claim_answer(ids[3]).error(), Refusal::kLimited);
  });

  add("Limit_WhatCannotRunIsPendingAndNotPeeked", [](StoreCase& t) {
    const auto ids = t.insert_many(3, limited("k"));
    EXPECT_THAT(ids_of(t.peek()), ElementsAre(ids[0]));
    EXPECT_EQ(t.state(ids[1]), State::kPending);
    EXPECT_EQ(t.state(ids[2]), State::kPending);
    const auto counts = must(t.store().monitor().counts());
    EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kPending)], 2U);
  });

  add("Limit_TheTicketComesWithTheInsertOnlyWhereItCanRun", [](StoreCase& t) {
    const std::vector<NewJob> jobs(2, limited("k"));
    auto answers = t.store().insert(jobs, kPatience);
    EXPECT_TRUE(must(std::move(answers[0])).ticket.has_value());
    EXPECT_FALSE(must(std::move(answers[1])).ticket.has_value());
  });

  add("Limit_OneKeyHoldsUpNoOther", [](StoreCase& t) {
    const auto mine = t.insert_many(2, limited("a"));
    const JobId other = t.insert(limited("b"));
    const JobId plain = t.insert(t.job());
    t.claim(mine[0]);
    t.claim(other);
    t.claim(plain);
    EXPECT_EQ(t.claim_answer(mine[1]).error(), Refusal::kLimited);
  });

  add("Limit_TheBestOfThoseHeldBackIsNext", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(limited("k"));
    const auto later = t.insert_many(2, limited("k"));
    EXPECT_THAT(ids_of(t.finish(run).freed), ElementsAre(later[0]));
    EXPECT_EQ(t.state(later[1]), State::kPending);
  });

  add("Limit_EachJobIsHeldToItsOwnNumber", [](StoreCase& t) {
    t.insert_and_claim(limited("k", 3));
    NewJob strict = limited("k", 1);
    strict.queue = "strict";
    const JobId one = t.insert(strict);
    const JobId three = t.insert(limited("k", 3));
    EXPECT_EQ(t.claim_answer(one).error(), Refusal::kLimited);
    EXPECT_TRUE(t.claim_answer(three).has_value());
  });

  add("Limit_EveryEndOfARunGivesWay", [](StoreCase& t) {
    for (const Verdict verdict :
         {Verdict::kCompleted, Verdict::kRetry, Verdict::kDiscarded, Verdict::kSnoozed}) {
      const Claimed run = t.insert_and_claim(limited("k"));
      const JobId next = t.insert(limited("k"));
      t.finish(run, verdict, 1h);
      EXPECT_EQ(t.state(next), State::kAvailable) << static_cast<int>(verdict);
      t.finish(t.claim(next));
    }
  });

  add("Limit_AJobThatIsCancelledBeforeItsTurnGivesWay", [](StoreCase& t) {
    const auto ids = t.insert_many(3, limited("k"));
    EXPECT_EQ(t.cancel(ids[0]), Cancelled::kCancelled);
    EXPECT_EQ(t.state(ids[1]), State::kAvailable);
    EXPECT_EQ(t.cancel(ids[2]), Cancelled::kCancelled) << "a pending one too";
    EXPECT_EQ(t.state(ids[2]), State::kCancelled);
  });

  add("Limit_ALeaseThatEndedMakesRoom", [](StoreCase& t) {
    NewJob once = limited("k");
    once.max_attempts = 1;
    t.insert_and_claim(once);
    const JobId next = t.insert(limited("k"));
    t.advance(kLease + 1s);
    EXPECT_THAT(ids_of(t.sweep_all().due), testing::Contains(next));
    EXPECT_TRUE(t.claim_answer(next).has_value());
  });

  add("Limit_ARunThatNobodyNamesAnyMoreMakesRoom", [](StoreCase& t) {
    NewJob job = limited("k");
    const JobId lost = t.insert(job);
    const Claimed run = t.claim(lost);
    const JobId next = t.insert(job);
    must(t.store().beat(kWorker, t.last_claim_number(), {}, true, kLease));
    EXPECT_EQ(t.state(lost), State::kAvailable);
    t.claim(lost);
    EXPECT_EQ(t.claim_answer(next).error(), Refusal::kLimited);
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kStale);
    EXPECT_EQ(t.state(next), State::kPending) << "a stale finish makes no room";
  });

  add("Limit_RetryAndRescueKeepTheLimit", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(limited("k"));
    const JobId next = t.insert(limited("k"));
    t.finish(run, Verdict::kRetry, 1s);
    t.claim(next);
    t.advance(1s);
    t.sweep_all();
    EXPECT_EQ(t.claim_answer(run.lease.id).error(), Refusal::kLimited);
  });

  add("Limit_DelayedJobsAreHeldWhenTheyFallDue", [](StoreCase& t) {
    NewJob later = limited("k");
    later.delay = 1s;
    const auto ids = t.insert_many(2, later);  // and nobody else has a limit
    t.advance(2s);
    t.sweep_all();
    t.claim(ids[0]);
    EXPECT_EQ(t.claim_answer(ids[1]).error(), Refusal::kLimited);
  });

  add("Limit_APausedQueueHoldsUpNoOther", [](StoreCase& t) {
    NewJob paused = limited("k");
    paused.queue = "paused";
    const JobId waits = t.insert(paused);
    t.pause("paused");
    const JobId runs = t.insert(limited("k"));
    t.finish(t.claim(runs));
    t.resume("paused");
    EXPECT_TRUE(t.claim_answer(waits).has_value());
  });

  add("Limit_APendingJobExpiresToo", [](StoreCase& t) {
    t.insert_and_claim(limited("k"));
    NewJob job = limited("k");
    job.start_within = 5s;
    const JobId id = t.insert(job);
    EXPECT_EQ(t.state(id), State::kPending);
    t.advance(6s);
    EXPECT_EQ(t.sweep_all().discarded, 1U);
    EXPECT_EQ(t.state(id), State::kDiscarded);
  });

  add("Limit_IsShown", [](StoreCase& t) {
    const JobRecord record = t.record(t.insert(limited("user:9", 4)));
    ASSERT_TRUE(record.limit.has_value());
    EXPECT_EQ(record.limit->key, "user:9");
    EXPECT_EQ(record.limit->running, 4U);
    EXPECT_FALSE(t.record(t.insert(t.job())).limit.has_value());
  });

  add("Limit_ABadOneIsRefusedAlone", [](StoreCase& t) {
    const std::vector<NewJob> jobs = {limited(""), limited("k", 0),
                                      limited(std::string(257, 'x')), limited("k")};
    const auto answers = t.store().insert(jobs, kPatience);
    ASSERT_EQ(answers.size(), 4U);
    for (int i = 0; i < 3; ++i) {
      ASSERT_FALSE(answers[static_cast<std::size_t>(i)].has_value()) << i;
      EXPECT_EQ(answers[static_cast<std::size_t>(i)].error().code, Code::kInvalid);
    }
    EXPECT_TRUE(answers[3].has_value());
  });
}

void add_claim_source_cases(const Add& add) {
  add("Limit_TheFusedClaimTakesOthersInstead", [](StoreCase& t) {
    auto source = t.store().claim_source();
    if (!source) GTEST_SKIP() << "the store is no queue";
    const auto a = t.insert_many(3, limited("a"));
    NewJob low = limited("a");
    low.priority = 5;
    const JobId lane = t.insert(low);  // a lane of its own, and so available
    const JobId b = t.insert(limited("b"));
    EXPECT_THAT(claim_best(*source, 10, 1), UnorderedElementsAre(a[0], b));
    EXPECT_EQ(t.state(lane), State::kPending);
    EXPECT_THAT(claim_best(*source, 10, 2), IsEmpty());
  });

  add("Limit_TheFusedClaimHoldsEachJobToItsOwnNumber", [](StoreCase& t) {
    auto source = t.store().claim_source();
    if (!source) GTEST_SKIP() << "the store is no queue";
    const JobId runs = t.insert(limited("k", 5));
    EXPECT_THAT(claim_best(*source, 1, 1), ElementsAre(runs));
    NewJob strict = limited("k", 2);
    strict.priority = 5;
    const JobId second = t.insert(strict);
    const JobId first = t.insert(limited("k", 5));
    EXPECT_THAT(claim_best(*source, 10, 2), ElementsAre(first));
    EXPECT_EQ(t.claim_answer(second).error(), Refusal::kLimited);
  });

  add("Limit_TheFusedClaimLooksBehindWhatItRefuses", [](StoreCase& t) {
    auto source = t.store().claim_source();
    if (!source) GTEST_SKIP() << "the store is no queue";
    std::vector<JobId> ids;
    for (const auto& [key, priority] : {std::pair("a", 0), {"a", 1}, {"b", 2}}) {
      NewJob job = limited(key);
      job.priority = static_cast<std::int16_t>(priority);
      ids.push_back(t.insert(job));  // each in a lane of its own, and so available
    }
    EXPECT_THAT(claim_best(*source, 2, 1), UnorderedElementsAre(ids[0], ids[2]));
    EXPECT_EQ(t.state(ids[1]), State::kPending);
  });

  add("Invariant9_LimitsHoldAmongManyWorkers", [](StoreCase& t) {
    constexpr int kWorkers = 4;
    constexpr std::size_t kKeys = 3;
    constexpr std::size_t kJobs = 40;
    constexpr int kLimit = 2;
    std::vector<NewJob> jobs;
    for (std::size_t i = 0; i < kKeys * kJobs; ++i) {
      jobs.push_back(limited("key-" + std::to_string(i % kKeys), kLimit));
      jobs.back().payload = std::to_string(i % kKeys);
      // Two lanes a key: each has as many available as could run alone.
      jobs.back().priority = static_cast<std::int16_t>(i / kKeys % 2);
    }
    for (auto& answer : t.store().insert(jobs, kPatience)) must(std::move(answer));
    std::array<std::atomic<int>, kKeys> running{};
    std::atomic<std::size_t> done{0};
    std::atomic<int> most{0};
    const std::vector<std::string> kinds = {"work"};
    // Each over a store of its own where that shares the rows, as processes do.
    std::vector<std::unique_ptr<Store>> others;
    if (t.traits().reach != Reach::kProcess) {
      for (int w = 1; w < kWorkers; ++w) others.push_back(t.beside());
    }
    std::vector<std::jthread> workers;
    for (int w = 0; w < kWorkers; ++w) {
      workers.emplace_back([&, w] {
        const std::string name = "limited-" + std::to_string(w);
        Store& store = others.empty() || w == 0
                           ? t.store()
                           : *others[static_cast<std::size_t>(w - 1)];
        auto source = store.claim_source();
        if (!source) return;
        std::uint64_t number = 0;
        while (done.load() < jobs.size()) {
          const auto runs =
              must(source->claim({{}, kinds, 3}, name, ++number, kLease, 10ms));
          for (const Claimed& run : runs) {
            const int now = ++running[std::stoul(run.payload)];
            int seen = most.load();
            while (seen < now && !most.compare_exchange_weak(seen, now)) {
            }
          }
          for (const Claimed& run : runs) {
            --running[std::stoul(run.payload)];  // before the store says so
            const Finish end = StoreCase::finish_of(run.lease);
            for (auto& answer : store.finish({&end, 1})) must(std::move(answer));
            ++done;
          }
        }
      });
    }
    const bool source = t.store().claim_source() != nullptr;
    workers.clear();
    if (!source) GTEST_SKIP() << "the store is no queue";
    EXPECT_EQ(done.load(), jobs.size());
    EXPECT_LE(most.load(), kLimit);
  });
}

void add_crash_cases(const Add& add) {
  add("Invariant9_LimitsAreCountedOverRowsAfterACrash", [](StoreCase& t) {
    if (!t.traits().durable) GTEST_SKIP() << "the rows go with the process";
    const Claimed run = t.insert_and_claim(limited("k"));
    const auto ids = t.insert_many(2, limited("k"));
    t.reopen();
    EXPECT_EQ(t.claim_answer(ids[0]).error(), Refusal::kLimited);
    EXPECT_THAT(ids_of(t.finish(run).freed), ElementsAre(ids[0]));
    EXPECT_TRUE(t.claim_answer(ids[0]).has_value());
    EXPECT_EQ(t.claim_answer(ids[1]).error(), Refusal::kLimited);
  });
}

}  // namespace

void add_limit_cases(StoreCases& cases) {
  // Each says of itself that the store has no limits, rather than being left out.
  const Add add = [&](const char* name, StoreCases::Body body) {
    cases.add(name, [body = std::move(body)](StoreCase& t) {
      if (!t.traits().limits) GTEST_SKIP() << "the store has no limits";
      body(t);
    });
  };
  add_ticket_cases(add);
  add_claim_source_cases(add);
  add_crash_cases(add);

  cases.add("Limit_IsRefusedWhereTheStoreHasNone", [](StoreCase& t) {
    if (t.traits().limits) GTEST_SKIP() << "the store has limits";
    const NewJob job = limited("k");
    const auto answers = t.store().insert({&job, 1}, kPatience);
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_FALSE(answers[0].has_value());
    EXPECT_EQ(answers[0].error().code, Code::kUnsupported);
  });
}

}  // namespace carrel::conformance
