#include <atomic>
#include <future>
#include <thread>

#include "fixture.h"

namespace carrel::memory {
namespace {

class MemoryStoreTest : public StoreTest {};

std::vector<std::uint64_t> ids_of(const std::vector<Claimed>& runs) {
  std::vector<std::uint64_t> ids;
  for (const Claimed& run : runs) ids.push_back(value(run.lease.id));
  return ids;
}

using Ids = std::vector<std::uint64_t>;

TEST_F(MemoryStoreTest, BestFirstAcrossManyBuckets) {
  const auto add = [&](const char* queue, const char* kind, std::int16_t priority) {
    NewJob made = job(kind);
    made.queue = queue;
    made.priority = priority;
    insert(made);
    clock_.now_ += 1ms;
  };
  add("a", "x", 5);   // 1
  add("b", "x", 0);   // 2
  add("a", "y", 0);   // 3
  add("a", "z", -9);  // 4, of a kind that is not asked for
  add("b", "y", -1);  // 5
  add("a", "x", 0);   // 6
  EXPECT_EQ(ids_of(claim(3, {"x", "y"})), (Ids{5, 2, 3}));
  EXPECT_EQ(ids_of(claim(9, {"x", "y"})), (Ids{6, 1}));
}

TEST_F(MemoryStoreTest, WhatIsSetFreeKeepsItsAge) {
  insert(job());
  insert(job());
  const auto runs = claim(2);
  clock_.now_ += 1s;
  insert(job());
  finish(runs[1], Verdict::kReleased);
  finish(runs[0], Verdict::kReleased);
  EXPECT_EQ(ids_of(claim(9)), (Ids{1, 2, 3}));
}

TEST_F(MemoryStoreTest, AClockThatStepsBackLosesNothing) {
  clock_.now_ += 1h;
  insert(job());
  clock_.now_ -= 30min;
  insert(job());
  NewJob later = job();
  later.delay = 10s;
  insert(later);
  EXPECT_EQ(ids_of(claim(9)), (Ids{2, 1}));
  clock_.now_ += 10s;
  EXPECT_EQ(store_->sweep(9).value().due.size(), 1U);
  EXPECT_EQ(ids_of(claim(9)), (Ids{3}));
}

TEST_F(MemoryStoreTest, ABadJobFailsAloneAndSaysWhy) {
  std::vector<NewJob> batch(4, job());
  batch[0].kind = "";
  batch[1].queue = std::string(129, 'q');
  batch[2].kind = "a\nb";
  const auto answers = store_->insert(batch, 1s);
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(answers[i].has_value());
    EXPECT_EQ(answers[i].error().code, Code::kInvalid);
  }
  EXPECT_NE(answers[0].error().message.find("kind"), std::string::npos);
  EXPECT_NE(answers[1].error().message.find("queue"), std::string::npos);
  EXPECT_NE(answers[2].error().message.find("control"), std::string::npos);
  EXPECT_TRUE(answers[3].has_value());
}

TEST_F(MemoryStoreTest, ManyNamesLeaveNothingBehind) {
  open({.completed = 0s});
  NewJob made = job();
  for (int i = 0; i < 1'000; ++i) {
    made.queue = "user-" + std::to_string(i);
    insert(made);
    finish(claim().at(0));
  }
  insert(job());
  const Counts counts = store_->monitor().counts().value();
  EXPECT_EQ(counts.by_queue.size(), 1U);
  EXPECT_EQ(rows(), 1U);
}

TEST_F(MemoryStoreTest, ARescueIsInTheHistory) {
  const JobId id = insert(job());
  claim();
  clock_.now_ += 30s;
  EXPECT_EQ(store_->sweep(9).value().rescued, 1U);
  const JobRecord record = store_->monitor().job(id).value();
  ASSERT_EQ(record.attempts.size(), 1U);
  EXPECT_EQ(record.attempts[0].klass, OutcomeClass::kWorkerLost);
  EXPECT_EQ(record.attempts[0].worker, "w");
  EXPECT_EQ(record.attempts[0].attempt, 1);
  EXPECT_EQ(record.started, Time{}) << "the epoch is an instant like any other";
}

TEST_F(MemoryStoreTest, AProgressMessageIsCutBetweenCharacters) {
  const JobId id = insert(job());
  Beat beat;
  beat.lease = claim().at(0).lease;
  beat.progress = Progress{0.5F, std::string(1'023, 'x') + "é" + "tail"};
  ASSERT_EQ(store_->beat("w", 0, {&beat, 1}, false, 30s).value()[0], Pulse::kAlive);
  EXPECT_EQ(store_->monitor().job(id).value().progress->message, std::string(1'023, 'x'));
}

TEST_F(MemoryStoreTest, TheSweepKeepsItsBoundAndComesBackForTheRest) {
  NewJob later = job();
  later.delay = 1s;
  for (int i = 0; i < 5; ++i) insert(later);
  clock_.now_ += 1s;
  const Swept first = store_->sweep(3).value();
  EXPECT_EQ(first.due.size(), 3U);
  EXPECT_EQ(first.next, Duration::zero());
  EXPECT_EQ(store_->sweep(3).value().due.size(), 2U);
}

TEST_F(MemoryStoreTest, AnInterruptedWaiterPassesItsCallOn) {
  // Two wait; one is interrupted at the moment a job arrives. Whoever was called for it,
  // the other must get it.
  for (int round = 0; round < 200; ++round) {
    auto leaving = store_->claim_source();
    auto staying = store_->claim_source();
    const auto wait = [](ClaimSource& source) {
      const std::vector<std::string> kinds = {"work"};
      return source.claim({{}, kinds, 1}, "w", 1, 30s, 1h).value().size();
    };
    auto left = std::async(std::launch::async, [&] { return wait(*leaving); });
    auto stayed = std::async(std::launch::async, [&] { return wait(*staying); });
    std::thread inserts([&] { insert(job()); });
    leaving->interrupt();
    inserts.join();
    if (left.get() == 1) insert(job());  // it was quicker than its interrupt
    EXPECT_EQ(stayed.get(), 1U);
  }
}

TEST_F(MemoryStoreTest, EveryJobIsClaimedOnceByManyWaiters) {
  constexpr std::size_t kJobs = 20'000;
  std::atomic<std::size_t> claimed{0};
  std::vector<std::unique_ptr<ClaimSource>> sources;
  for (int i = 0; i < 4; ++i) sources.push_back(store_->claim_source());
  std::vector<std::atomic<int>> seen(kJobs + 1);
  std::vector<std::thread> workers;
  for (auto& source : sources) {
    workers.emplace_back([&, name = "w" + std::to_string(workers.size())] {
      const std::vector<std::string> kinds = {"work"};
      for (std::uint64_t n = 1;; ++n) {
        const auto runs = source->claim({{}, kinds, 7}, name, n, 30s, 1h).value();
        if (runs.empty()) return;
        for (const Claimed& run : runs) ++seen[value(run.lease.id)];
        claimed += runs.size();
        claimed.notify_all();
      }
    });
  }
  const std::vector<NewJob> batch(40, job());
  for (std::size_t i = 0; i < kJobs; i += batch.size()) store_->insert(batch, 1s);
  for (std::size_t n = claimed; n < kJobs; n = claimed) claimed.wait(n);
  for (auto& source : sources) source->interrupt();
  for (auto& worker : workers) worker.join();
  for (std::size_t id = 1; id <= kJobs; ++id) ASSERT_EQ(seen[id], 1) << id;
}

TEST_F(MemoryStoreTest, AwaitFinalWakesAtTheEndAndWhenTheRowGoes) {
  open({.completed = 0s});
  const JobId first = insert(job());
  const JobId second = insert(job());
  const JobId both[] = {first, second};
  auto waiting = std::async(std::launch::async,
                            [&] { return store_->await_final(both, 1h).value(); });
  finish(claim().at(0));
  EXPECT_EQ(waiting.get(), std::vector<JobId>{first});
  EXPECT_EQ(store_->await_final({&first, 1}, 1h).value(), std::vector<JobId>{first})
      << "gone is as good as final";
  auto interrupted = std::async(std::launch::async, [&] {
    return store_->await_final({&second, 1}, 1h).value();
  });
  store_->interrupt();
  EXPECT_TRUE(interrupted.get().empty());
}

}  // namespace
}  // namespace carrel::memory
