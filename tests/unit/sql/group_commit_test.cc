// Group commit by itself, over a transactor that only counts.
#include "group_commit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <semaphore>
#include <stdexcept>
#include <thread>
#include <vector>

namespace carrel::sql {
namespace {

using namespace std::chrono_literals;

// What is written becomes visible with the commit, and is gone after a rollback.
class FakeTransactor : public Transactor {
 public:
  bool begins_at_once() noexcept override { return at_once; }
  Result<void> begin() noexcept override {
    entered.release();
    if (held) go.acquire();
    if (broken) return fail(Code::kUnavailable, "no turn");
    ++begun;
    return {};
  }
  void commit() override {
    if (fail_commits > 0 && fail_commits-- > 0) throw std::runtime_error("disk full");
    stored.insert(stored.end(), open.begin(), open.end());
    open.clear();
    ++commits;
  }
  void committed() noexcept override {}
  void rollback() noexcept override {
    open.clear();
    ++rollbacks;
  }
  void end() noexcept override {}
  Error current_error() noexcept override {
    try {
      throw;
    } catch (const std::exception& e) {
      return {Code::kUnavailable, e.what(), "fake", 0, Duration{0}};
    }
  }
  void tick() noexcept override { ticked.release(); }
  bool wants_ticks() noexcept override { return ticks; }
  Redo redo() noexcept override { return after_failure; }

  Redo after_failure = Redo::kAlone;

  std::counting_semaphore<1000> entered{0};
  std::counting_semaphore<1000> go{0};
  std::counting_semaphore<1000> ticked{0};
  std::atomic<bool> held{false};
  std::atomic<bool> broken{false};
  std::atomic<bool> ticks{false};
  std::atomic<bool> at_once{false};
  int fail_commits = 0;
  int begun = 0;
  int commits = 0;
  int rollbacks = 0;
  std::vector<int> open;
  std::vector<int> stored;
};

TEST(GroupCommit, WhatComesDuringATransactionIsDoneInOne) {
  FakeTransactor fake;
  fake.held = true;
  GroupCommit group(fake, 1h);
  std::vector<std::future<Result<void>>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::async(std::launch::async, [&, i] {
      return group.run([&, i] { fake.open.push_back(i); });
    }));
  }
  fake.entered.acquire();
  fake.held = false;
  fake.go.release();
  for (auto& call : calls) EXPECT_TRUE(call.get().has_value());
  EXPECT_THAT(fake.stored, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_LE(fake.commits, 8);
  EXPECT_EQ(fake.begun, fake.commits);
}

TEST(GroupCommit, WhatOnlyLostAConflictIsDoneAgain) {
  FakeTransactor fake;
  fake.after_failure = Transactor::Redo::kTogether;
  fake.fail_commits = 3;
  GroupCommit group(fake, 1h);
  EXPECT_TRUE(group.run([&] { fake.open.push_back(1); }).has_value());
  EXPECT_THAT(fake.stored, testing::ElementsAre(1));
  EXPECT_EQ(fake.rollbacks, 3);
}

TEST(GroupCommit, WhoAlwaysLosesHearsOfItAtLast) {
  FakeTransactor fake;
  fake.after_failure = Transactor::Redo::kTogether;
  fake.fail_commits = 1'000'000;
  GroupCommit group(fake, 1h);
  EXPECT_FALSE(group.run([&] { fake.open.push_back(1); }).has_value());
  EXPECT_THAT(fake.stored, testing::IsEmpty());
}

// Holds the writer inside the first operation until all the others are queued.
std::vector<Result<void>> run_together(GroupCommit& group,
                                       std::vector<std::function<void()>> works) {
  std::binary_semaphore inside{0};
  std::binary_semaphore leave{0};
  bool first_time = true;
  auto first = std::async(std::launch::async, [&] {
    return group.run([&] {
      if (!std::exchange(first_time, false)) return;
      inside.release();
      leave.acquire();
    });
  });
  inside.acquire();
  std::vector<std::future<Result<void>>> calls;
  for (auto& work : works) {
    calls.push_back(std::async(std::launch::async, [&] { return group.run(work); }));
  }
  while (group.waiting() < works.size()) std::this_thread::yield();
  leave.release();
  EXPECT_TRUE(first.get().has_value());
  std::vector<Result<void>> answers;
  for (auto& call : calls) answers.push_back(call.get());
  return answers;
}

TEST(GroupCommit, WhoIsAloneRunsItselfWhereATransactionBeginsAtOnce) {
  FakeTransactor fake;
  GroupCommit group(fake, 1h);
  std::thread::id ran_on;
  const auto run = [&] {
    EXPECT_TRUE(group.run([&] { ran_on = std::this_thread::get_id(); }).has_value());
  };
  run();
  EXPECT_NE(ran_on, std::this_thread::get_id()) << "it might have to wait";
  fake.at_once = true;
  run();
  EXPECT_EQ(ran_on, std::this_thread::get_id());
  fake.fail_commits = 1;
  EXPECT_FALSE(group.run([] {}).has_value());
  fake.broken = true;
  EXPECT_FALSE(group.run([] {}).has_value());
  fake.broken = false;
  run();
  EXPECT_EQ(ran_on, std::this_thread::get_id());
  EXPECT_EQ(fake.commits, 3);
}

TEST(GroupCommit, WhoComesWhileSomebodyRunsItselfIsNotForgotten) {
  FakeTransactor fake;
  fake.at_once = true;
  GroupCommit group(fake, 1h);
  const auto answers = run_together(
      group, {[&] { fake.open.push_back(1); }, [&] { fake.open.push_back(2); }});
  for (const auto& answer : answers) EXPECT_TRUE(answer.has_value());
  EXPECT_THAT(fake.stored, testing::UnorderedElementsAre(1, 2));
}

TEST(GroupCommit, WhoComesAfterACrowdWaitsForTheOthers) {
  FakeTransactor fake;
  fake.at_once = true;
  GroupCommit group(fake, 1h);
  for (const auto& answer : run_together(group, {[] {}, [] {}})) {
    EXPECT_TRUE(answer.has_value());
  }
  ASSERT_EQ(fake.commits, 2) << "the two share a transaction";
  std::thread::id ran_on;
  const auto run = [&] {
    EXPECT_TRUE(group.run([&] { ran_on = std::this_thread::get_id(); }).has_value());
  };
  run();
  EXPECT_NE(ran_on, std::this_thread::get_id());
  run();
  EXPECT_EQ(ran_on, std::this_thread::get_id()) << "nobody else came";
}

// The thread that ticks is asleep where nobody needs it.
TEST(GroupCommit, TicksWhileSomebodyRunsItselfComeAfterThat) {
  FakeTransactor fake;
  fake.at_once = true;
  GroupCommit group(fake, 0ms);
  EXPECT_TRUE(group
                  .run([&] {
                    group.nudge();
                    EXPECT_FALSE(fake.ticked.try_acquire());
                  })
                  .has_value());
  fake.ticked.acquire();
}

TEST(GroupCommit, OneThatFailsFailsAlone) {
  FakeTransactor fake;
  GroupCommit group(fake, 1h);
  const auto answers = run_together(group, {[&] { fake.open.push_back(1); },
                                            [&] {
                                              fake.open.push_back(666);
                                              throw std::runtime_error("cannot");
                                            },
                                            [&] { fake.open.push_back(3); }});
  EXPECT_TRUE(answers[0].has_value());
  ASSERT_FALSE(answers[1].has_value());
  EXPECT_EQ(answers[1].error().message, "cannot");
  EXPECT_TRUE(answers[2].has_value());
  EXPECT_THAT(fake.stored, testing::UnorderedElementsAre(1, 3))
      << "each once, and nothing of the one that failed";
}

// It would have to wait for a lock while the transaction holds some.
TEST(GroupCommit, WhoAsksForTheNextTransactionBeginsIt) {
  FakeTransactor fake;
  GroupCommit group(fake, 1h);
  int deferred = 0;
  const auto answers = run_together(group, {[&] { fake.open.push_back(1); },
                                            [&] {
                                              if (!fake.open.empty()) {
                                                ++deferred;
                                                throw NextTransaction{};
                                              }
                                              fake.open.push_back(2);
                                            },
                                            [&] { fake.open.push_back(3); }});
  for (const auto& answer : answers) EXPECT_TRUE(answer.has_value());
  EXPECT_THAT(fake.stored, testing::UnorderedElementsAre(1, 2, 3)) << "each once";
  EXPECT_LE(deferred, 1) << "the next one held nothing";
  EXPECT_EQ(fake.rollbacks, 0);
}

TEST(GroupCommit, WhoOnlyEverAsksForTheNextTransactionHearsOfItAtLast) {
  FakeTransactor fake;
  GroupCommit group(fake, 1h);
  const auto answer = group.run([] { throw NextTransaction{}; });
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_TRUE(group.run([&] { fake.open.push_back(1); }).has_value());
}

// Each by itself after a failure, and one of those asks for another transaction.
TEST(GroupCommit, WhoIsDoneAloneMayAskForTheNextTransaction) {
  FakeTransactor fake;
  GroupCommit group(fake, 1h);
  int asked = 0;
  const auto answers = run_together(group, {[&] { throw std::runtime_error("cannot"); },
                                            [&] {
                                              if (fake.rollbacks > 0 && ++asked == 1)
                                                throw NextTransaction{};
                                              fake.open.push_back(2);
                                            }});
  EXPECT_FALSE(answers[0].has_value());
  EXPECT_TRUE(answers[1].has_value());
  EXPECT_THAT(fake.stored, testing::ElementsAre(2));
}

// It has waited for somebody who does not end: nobody waits for that again.
TEST(GroupCommit, WhoWaitedInVainIsNotAskedAgain) {
  FakeTransactor fake;
  fake.after_failure = Transactor::Redo::kOthers;
  GroupCommit group(fake, 1h);
  int waited = 0;
  const auto wait = [&] {
    ++waited;
    fake.open.push_back(666);
    throw std::runtime_error("held");
  };
  const auto answers = run_together(
      group, {[&] { fake.open.push_back(1); }, wait, [&] { fake.open.push_back(3); },
              wait, [&] { fake.open.push_back(5); }});
  for (const std::size_t place : {0U, 2U, 4U}) EXPECT_TRUE(answers[place].has_value());
  for (const std::size_t place : {1U, 3U}) {
    ASSERT_FALSE(answers[place].has_value());
    EXPECT_EQ(answers[place].error().message, "held");
  }
  EXPECT_EQ(waited, 2);
  EXPECT_THAT(fake.stored, testing::UnorderedElementsAre(1, 3, 5));
}

TEST(GroupCommit, ACommitThatWaitedInVainIsNobodysAlone) {
  FakeTransactor fake;
  fake.after_failure = Transactor::Redo::kOthers;
  GroupCommit group(fake, 1h);
  int runs = 0;
  const auto answers = run_together(group, {[&] {
                                              fake.open.push_back(1);
                                              if (++runs == 1) fake.fail_commits = 1;
                                            },
                                            [&] { fake.open.push_back(2); }});
  for (const auto& answer : answers) EXPECT_TRUE(answer.has_value());
  EXPECT_THAT(fake.stored, testing::UnorderedElementsAre(1, 2));
}

TEST(GroupCommit, NobodyHearsOfACommitThatFailed) {
  FakeTransactor fake;
  fake.fail_commits = 1;
  GroupCommit group(fake, 1h);
  const auto answer = group.run([&] { fake.open.push_back(1); });
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().message, "disk full");
  EXPECT_THAT(fake.stored, testing::IsEmpty());
  EXPECT_TRUE(group.run([&] { fake.open.push_back(2); }).has_value());
  EXPECT_THAT(fake.stored, testing::ElementsAre(2));
}

TEST(GroupCommit, ATransactionThatCannotBeginFailsWhatWaits) {
  FakeTransactor fake;
  fake.broken = true;
  GroupCommit group(fake, 1h);
  const auto answer = group.run([&] { ADD_FAILURE() << "ran without a transaction"; });
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  fake.broken = false;
  EXPECT_TRUE(group.run([] {}).has_value());
}

TEST(GroupCommit, ADeadlineWithdrawsWhatHasNotBegun) {
  FakeTransactor fake;
  fake.held = true;
  GroupCommit group(fake, 1h);
  const auto answer = group.run([&] { fake.open.push_back(1); }, 5ms);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  fake.held = false;
  fake.go.release();
  EXPECT_TRUE(group.run([&] { fake.open.push_back(2); }).has_value());
  EXPECT_THAT(fake.stored, testing::ElementsAre(2));
}

TEST(GroupCommit, TicksOnlyWhileTheyAreWanted) {
  FakeTransactor fake;
  GroupCommit group(fake, 1ms);
  EXPECT_TRUE(group.run([] {}).has_value());
  EXPECT_FALSE(fake.ticked.try_acquire());
  fake.ticks = true;
  group.nudge();
  fake.ticked.acquire();
  fake.ticked.acquire();
  fake.ticks = false;
}

// As where a look at many lanes takes longer than the time between two.
TEST(GroupCommit, TicksThatTakeLongTakeATenthOfTheTime) {
  using Clock = std::chrono::steady_clock;
  struct Slow final : FakeTransactor {
    void tick() noexcept override {
      const auto begin = Clock::now();
      if (last_took.count() > 0) {
        spared = spared && begin - last_end >= 9 * last_took;
        ticked.release();
      }
      while (Clock::now() - begin < 3ms) std::this_thread::yield();
      last_end = Clock::now();
      last_took = last_end - begin;
    }
    Clock::time_point last_end;
    Clock::duration last_took{};
    bool spared = true;
  } slow;
  slow.ticks = true;
  {
    GroupCommit group(slow, 1ms);
    group.nudge();
    for (int i = 0; i < 3; ++i) slow.ticked.acquire();
    slow.ticks = false;
  }
  EXPECT_TRUE(slow.spared);
}

TEST(GroupCommit, ManyThreadsEachHearOfTheirOwn) {
  FakeTransactor fake;
  std::atomic<int> right{0};
  {
    GroupCommit group(fake, 1h);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) {
          const bool bad = (t * 200 + i) % 7 == 0;
          const auto answer = group.run([&] {
            fake.open.push_back(t * 200 + i);
            if (bad) throw std::runtime_error("bad");
          });
          if (answer.has_value() != bad) ++right;
        }
      });
    }
  }
  EXPECT_EQ(right, 1600);
  EXPECT_EQ(fake.stored.size(), static_cast<std::size_t>(1600 - 229));
}

// It may have been stored: done again, a job without a request id would be there twice.
TEST(GroupCommit, AfterALossNothingIsDoneTwice) {
  FakeTransactor fake;
  fake.after_failure = Transactor::Redo::kNothing;
  GroupCommit group(fake, 1h);
  std::atomic<int> runs{0};
  const auto work = [&] {
    ++runs;
    fake.fail_commits = 1;
  };
  const auto answers = run_together(group, {work, work, work});
  int refused = 0;
  for (const auto& answer : answers) refused += answer.has_value() ? 0 : 1;
  EXPECT_EQ(refused, static_cast<int>(answers.size()));
  EXPECT_EQ(runs, 3);
}

}  // namespace
}  // namespace carrel::sql
