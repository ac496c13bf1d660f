// Rates beside limits, among many who claim, and for random schedules.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "rate_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

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
    EXPECT_THAT(claim_best(*source, 10, 1, kLong), UnorderedElementsAre(a[0], b, plain));
    EXPECT_EQ(t.state(lane), State::kPending);
    EXPECT_THAT(claim_best(*source, 10, 2, kLong), IsEmpty());
    t.advance(kPeriod);
    t.sweep_all();
    EXPECT_THAT(claim_best(*source, 10, 3, kLong), SizeIs(1));
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
  Lease lease;
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
      if (record.rate)
        begun[record.rate->key].push_back({run.lease, *record.started, *record.rate});
      runs.push_back(std::move(run));
    };
    const auto end = [&](Verdict verdict) {
      const auto which = static_cast<std::size_t>(chance(static_cast<int>(runs.size())));
      const Fence fence = runs[which].lease.fence;
      const JobId id = runs[which].lease.id;
      t.finish(runs[which], verdict, Duration(chance(20) * 1min));
      if (verdict == Verdict::kReleased) {  // and so did not begin
        for (auto& [key, attempts] : begun) {
          std::erase_if(attempts, [&](const Began& b) {
            return b.lease.id == id && b.lease.fence == fence;
          });
        }
      }
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
                                         Verdict::kSnoozed, Verdict::kReleased,
                                         Verdict::kInterrupted};
            end(kHow[static_cast<std::size_t>(chance(5))]);
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

void add_rates_together_cases(const Add& add) {
  add_limit_and_rate_cases(add);
  add_claim_source_cases(add);
  add_random_cases(add);
}

}  // namespace carrel::conformance
