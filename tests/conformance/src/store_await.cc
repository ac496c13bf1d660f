#include <gmock/gmock.h>

#include <future>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<JobId> await(StoreCase& t, const std::vector<JobId>& ids, Duration wait) {
  return must(t.store().await_final(ids, wait));
}

}  // namespace

void add_await_cases(StoreCases& cases) {
  cases.add("Await_AnswersAtOnceWithWhatIsFinalOrGone", [](StoreCase& t) {
    const Claimed done = t.insert_and_claim();
    t.finish(done);
    const JobId waiting = t.insert(t.job());
    const JobId cancelled = t.insert(t.job());
    t.cancel(cancelled);
    const JobId unknown{123'456};
    EXPECT_THAT(await(t, {waiting, done.lease.id, cancelled, unknown}, kForever),
                UnorderedElementsAre(done.lease.id, cancelled, unknown));
    EXPECT_THAT(await(t, {done.lease.id}, 0us), ElementsAre(done.lease.id))
        << "level-triggered: again, and without waiting";
  });

  cases.add("Await_AnEmptyAnswerWhenTheWaitEnds", [](StoreCase& t) {
    const JobId waiting = t.insert(t.job());
    EXPECT_THAT(await(t, {waiting}, 0us), IsEmpty());
    EXPECT_THAT(await(t, {waiting}, 10ms), IsEmpty());
  });

  cases.add("Await_WakesWhenAnotherThreadFinishes", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    const JobId other = t.insert(t.job());
    auto waiting = std::async(std::launch::async, [&] {
      return await(t, {other, run.lease.id}, kForever);
    });
    t.finish(run);
    EXPECT_THAT(waiting.get(), ElementsAre(run.lease.id));
  });

  cases.add("Await_WakesForCancelExpiryRescueAndPurge", [](StoreCase& t) {
    t.options().retention.completed = 0us;
    t.create_again();
    const auto wakes_for = [&](JobId id, const std::function<void()>& what) {
      auto waiting =
          std::async(std::launch::async, [&] { return await(t, {id}, kForever); });
      what();
      EXPECT_THAT(waiting.get(), ElementsAre(id));
    };
    JobId id = t.insert(t.job());
    wakes_for(id, [&] { t.cancel(id); });

    NewJob brief = t.job();
    brief.start_within = 1s;
    wakes_for(t.insert(brief), [&] {
      t.advance(1s);
      t.sweep_all();
    });

    NewJob once = t.job();
    once.max_attempts = 1;
    const Claimed lost = t.insert_and_claim(once);
    wakes_for(lost.lease.id, [&] {
      t.advance(kLease);
      t.sweep_all();
    });

    const Claimed run = t.insert_and_claim();
    wakes_for(run.lease.id, [&] { t.finish(run); });
    EXPECT_TRUE(t.gone(run.lease.id));
  });

  cases.add("Await_ARetryDoesNotEndIt", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    auto waiting = std::async(std::launch::async,
                              [&] { return await(t, {run.lease.id}, kForever); });
    t.finish(run, Verdict::kRetry);
    t.sweep_all();
    const Claimed second = t.claim(run.lease.id);
    EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(20)),
              std::future_status::timeout);
    t.finish(second);
    EXPECT_THAT(waiting.get(), ElementsAre(run.lease.id));
  });

  cases.add("Await_ManyWaitersAllWake", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    std::vector<std::future<std::vector<JobId>>> waiters;
    waiters.reserve(8);
    for (int i = 0; i < 8; ++i) {
      waiters.push_back(std::async(std::launch::async,
                                   [&] { return await(t, {run.lease.id}, kForever); }));
    }
    t.finish(run);
    for (auto& w : waiters) EXPECT_THAT(w.get(), ElementsAre(run.lease.id));
  });

  cases.add("Await_InterruptWakesItForEver", [](StoreCase& t) {
    const JobId id = t.insert(t.job());
    auto waiting = std::async(std::launch::async, [&] {
      return t.store().await_final(std::vector{id}, kForever);
    });
    t.store().interrupt();
    const auto first = waiting.get();  // comes back at all
    EXPECT_THAT(first.value_or(std::vector<JobId>{}), IsEmpty());
    const auto second = t.store().await_final(std::vector{id}, kForever);
    EXPECT_THAT(second.value_or(std::vector<JobId>{}), IsEmpty());
  });

  cases.add("Await_NoIdsIsNothing",
            [](StoreCase& t) { EXPECT_THAT(await(t, {}, 0us), IsEmpty()); });
}

}  // namespace carrel::conformance
