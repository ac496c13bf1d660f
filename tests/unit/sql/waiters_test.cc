// Who is woken by what: enough, and not all.
#include "waiters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <thread>

namespace carrel::sql {
namespace {

using namespace std::chrono_literals;
using Deadline = Waiters::Deadline;

const std::vector<std::string> kA = {"a"};
const std::vector<std::string> kB = {"b"};
const std::vector<std::string> kX = {"x"};

constexpr Deadline kNow = Deadline::min();  // has a signal come already?

TEST(Waiters, WorkWakesAsManyAsItNeeds) {
  Waiters waiters([] {});
  std::array<std::unique_ptr<Waiters::ClaimWaiter>, 4> claims;
  for (auto& claim : claims) {
    claim = std::make_unique<Waiters::ClaimWaiter>(waiters);
    claim->enter({{}, kA, 2});
    claim->looking();
  }
  const Lane three{"q", "a", 3};
  waiters.work({&three, 1});
  int woken = 0;
  for (auto& claim : claims) woken += claim->wait(kNow) ? 1 : 0;
  EXPECT_EQ(woken, 2) << "two take all three";
  for (auto& claim : claims) claim->leave({});
}

TEST(Waiters, OnlyWhoCanTakeItIsWoken) {
  Waiters waiters([] {});
  Waiters::ClaimWaiter other_kind(waiters);
  Waiters::ClaimWaiter other_queue(waiters);
  Waiters::ClaimWaiter fits(waiters);
  other_kind.enter({{}, kB, 1});
  other_queue.enter({kX, kA, 1});
  fits.enter({{}, kA, 1});
  const Lane lane{"q", "a", 9};
  waiters.work({&lane, 1});
  EXPECT_FALSE(other_kind.wait(kNow));
  EXPECT_FALSE(other_queue.wait(kNow));
  EXPECT_TRUE(fits.wait(kNow));
  other_kind.leave({});
  other_queue.leave({});
  fits.leave({});
}

TEST(Waiters, WhoLeavesHandsOnWhatItLeft) {
  Waiters waiters([] {});
  Waiters::ClaimWaiter first(waiters);
  Waiters::ClaimWaiter second(waiters);
  first.enter({{}, kA, 1});
  second.enter({{}, kA, 1});
  first.looking();
  first.leave({{"q", "a", 5}});  // it saw more than it may take
  EXPECT_TRUE(second.wait(kNow));
  second.looking();
  first.enter({{}, kA, 1});
  const Lane lane{"q", "a", 1};
  waiters.work({&lane, 1});  // goes to one of the two, which leaves without a look
  second.leave({});
  EXPECT_TRUE(first.wait(kNow));
  first.leave({});
}

TEST(Waiters, WhoFoundNothingNeedNotLookAgainUntilThereIsWork) {
  Waiters waiters([] {});
  Waiters::ClaimWaiter claim(waiters);
  const auto again = [&](const Demand& demand) {
    claim.enter(demand);
    const bool in_vain = claim.looks_in_vain();
    claim.leave({});
    return in_vain;
  };
  const auto look = [&](const Demand& demand, bool work_meanwhile) {
    const Lane lane{"q", "a", 1};
    claim.enter(demand);
    claim.looking();
    if (work_meanwhile) waiters.work({&lane, 1});
    claim.found_nothing();
    claim.leave({});
  };
  const Demand demand{kX, kA, 1};
  EXPECT_FALSE(again(demand)) << "it never looked";
  look(demand, false);
  EXPECT_FALSE(again(demand)) << "nobody has looked for it since";
  waiters.polled();
  EXPECT_TRUE(again(demand));
  EXPECT_FALSE(again(demand)) << "a poll answers for one look";
  waiters.polled();
  EXPECT_FALSE(again({{}, kA, 1})) << "of every queue";
  EXPECT_FALSE(again({kX, kB, 1})) << "of another kind";
  const std::vector<QueueBound> bounds = {{"x", 2}};
  EXPECT_FALSE(again({kX, kA, 1, false, bounds}));
  EXPECT_TRUE(again(demand));
  const Lane lane{"q", "a", 1};
  waiters.work({&lane, 1});  // while nobody is within a claim
  EXPECT_FALSE(again(demand));
  look(demand, true);
  waiters.polled();
  EXPECT_FALSE(again(demand)) << "it came when the look may have been over";
  look(demand, false);
  claim.enter(demand);
  claim.looking();  // and finds something
  claim.leave({});
  waiters.polled();
  EXPECT_FALSE(again(demand));
}

TEST(Waiters, ASignalBeforeTheWaitIsNotLost) {
  Waiters waiters([] {});
  Waiters::ClaimWaiter claim(waiters);
  claim.enter({{}, kA, 1});
  claim.looking();
  const Lane lane{"q", "a", 1};
  waiters.work({&lane, 1});
  EXPECT_TRUE(claim.wait(Waiters::deadline_after(1h)));
  claim.leave({});
}

TEST(Waiters, WhoIsWokenKnowsTheLaneIfThereIsButOne) {
  Waiters waiters([] {});
  Waiters::ClaimWaiter claim(waiters);
  claim.enter({{}, kA, 1});
  EXPECT_FALSE(claim.looking());
  const std::array<Lane, 2> lanes = {Lane{"q", "a"}, Lane{"r", "a"}};
  waiters.work({&lanes[0], 1});
  waiters.work({&lanes[0], 1});
  ASSERT_TRUE(claim.wait(kNow));
  const auto lane = claim.looking();
  ASSERT_TRUE(lane);
  EXPECT_EQ(lane->queue, "q");
  EXPECT_EQ(lane->kind, "a");
  EXPECT_FALSE(claim.looking()) << "it was told";
  waiters.work(lanes);
  EXPECT_FALSE(claim.looking()) << "there are two";
  claim.leave({});
}

TEST(Waiters, AnEndWakesThoseWhoWaitForThatJob) {
  Waiters waiters([] {});
  const JobId one{1};
  const JobId two{2};
  Waiters::EndWaiter for_one(waiters, {&one, 1});
  Waiters::EndWaiter for_two(waiters, {&two, 1});
  waiters.ended({&two, 1});
  EXPECT_FALSE(for_one.wait(kNow));
  EXPECT_TRUE(for_two.wait(kNow));
  waiters.look_again();
  EXPECT_TRUE(for_one.wait(kNow));
}

TEST(Waiters, InterruptEndsEveryWaitForEver) {
  Waiters waiters([] {});
  Waiters::ClaimWaiter claim(waiters);
  claim.enter({{}, kA, 1});
  const JobId one{1};
  auto waiting = std::async(std::launch::async, [&] {
    Waiters::EndWaiter end(waiters, {&one, 1});
    return end.wait(Waiters::deadline_after(Duration::max()));
  });
  waiters.interrupt();
  EXPECT_FALSE(waiting.get());
  EXPECT_FALSE(claim.wait(Waiters::deadline_after(Duration::max())));
  EXPECT_TRUE(claim.interrupted());
  claim.leave({});
}

TEST(Waiters, TheFirstToWaitIsToldOf) {
  int told = 0;
  Waiters waiters([&] { ++told; });
  EXPECT_FALSE(waiters.any());
  Waiters::ClaimWaiter claim(waiters);
  claim.enter({{}, kA, 1});
  EXPECT_FALSE(claim.wait(Waiters::deadline_after(1ms)));
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(waiters.any());
  claim.leave({});
}

// A claim that waits on a thread of its own, until it is lent or answers.
struct Lent {
  explicit Lent(Deadline until = Waiters::deadline_after(1h)) {
    claim.enter({{}, kA, 1});
    answers = std::async(std::launch::async, [this, until] {
      goes_on = claim.wait(until, &claiming);
      return claim.take_given(leftover);
    });
    while (!loan) {
      loan = waiters.lend({"q", "a"});
      std::this_thread::yield();
    }
  }
  ~Lent() { claim.leave({}); }

  bool waits() const { return answers.wait_for(20ms) == std::future_status::timeout; }

  Waiters waiters{[] {}};
  Waiters::ClaimWaiter claim{waiters};
  const Waiters::Claiming claiming{"w", 7, 30s};
  bool goes_on = false;
  std::vector<Lane> leftover;
  std::future<std::optional<Result<std::vector<Claimed>>>> answers;
  Waiters::Loan loan;
};

std::vector<Claimed> one_job() {
  Claimed job;
  job.lease.id = JobId{4};
  return {job};
}

TEST(Waiters, WhatIsClaimedForOneThatIsLentIsItsAnswer) {
  Lent lent;
  EXPECT_EQ(lent.loan.claiming().worker, "w");
  EXPECT_EQ(lent.loan.claiming().number, 7U);
  EXPECT_EQ(lent.loan.claiming().lease, 30s);
  EXPECT_EQ(lent.loan.demand().kinds[0], "a");
  EXPECT_TRUE(lent.waits());
  lent.loan.give(one_job(), {{"q", "a", 3}});
  EXPECT_FALSE(lent.loan);
  const auto given = lent.answers.get();
  ASSERT_TRUE(given && given->has_value());
  ASSERT_EQ((*given)->size(), 1U);
  EXPECT_EQ((*given)->at(0).lease.id, JobId{4});
  ASSERT_EQ(lent.leftover.size(), 1U);
  EXPECT_EQ(lent.leftover[0].jobs, 3U);
}

TEST(Waiters, WhatIsLentAnswersWithAnErrorWhereItMayHaveBeenClaimed) {
  Lent lent;
  lent.loan.fail(Error{.code = Code::kUnavailable, .message = "gone"});
  const auto given = lent.answers.get();
  ASSERT_TRUE(given && !given->has_value());
  EXPECT_EQ(given->error().message, "gone");
}

TEST(Waiters, WhatIsLentGoesOnWaitingWhereNothingWasClaimed) {
  Lent lent;
  lent.loan = {};
  EXPECT_TRUE(lent.waits());
  const Lane lane{"q", "a", 1};
  lent.waiters.work({&lane, 1});
  EXPECT_FALSE(lent.answers.get());
  EXPECT_TRUE(lent.goes_on);
}

TEST(Waiters, AnAnswerIsNotLostToASignalTheTimeOrAnInterrupt) {
  Lent lent(Waiters::deadline_after(50ms));
  const Lane lane{"q", "a", 1};
  lent.waiters.work({&lane, 1});
  lent.claim.interrupt();
  // Past its time, too.
  EXPECT_EQ(lent.answers.wait_for(100ms), std::future_status::timeout);
  lent.loan.give(one_job(), {});
  EXPECT_TRUE(lent.answers.get());
  EXPECT_FALSE(lent.goes_on);
}

TEST(Waiters, OnlyAClaimThatWaitsForTheLaneIsLentAndOnce) {
  Lent lent;
  EXPECT_FALSE(lent.waiters.lend({"q", "a"})) << "it is lent";
  lent.loan = {};
  EXPECT_FALSE(lent.waiters.lend({"q", "b"})) << "it wants another kind";
  Waiters::ClaimWaiter looks(lent.waiters);
  looks.enter({{}, kB, 1});
  EXPECT_FALSE(lent.waiters.lend({"q", "b"})) << "it does not wait";
  looks.leave({});
  EXPECT_TRUE(lent.waiters.lend({"q", "a"}));
  lent.claim.interrupt();
  lent.answers.wait();
  EXPECT_FALSE(lent.waiters.lend({"q", "a"})) << "it was interrupted";
}

TEST(Waiters, WhoTakesNothingIsNotLentNorWoken) {
  Waiters waiters([] {});
  Waiters::ClaimWaiter claim(waiters);
  const Waiters::Claiming claiming{"w", 1, 30s};
  claim.enter({{}, kA, 0});
  auto waiting = std::async(std::launch::async, [&] {
    return claim.wait(Waiters::deadline_after(1h), &claiming);
  });
  while (!waiters.any()) std::this_thread::yield();
  EXPECT_FALSE(waiters.lend({"q", "a"}));
  const Lane lane{"q", "a", 1};
  waiters.work({&lane, 1});
  EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout);
  claim.interrupt();
  EXPECT_FALSE(waiting.get());
  claim.leave({});
}

// What it may have seen is not what there is now.
TEST(Waiters, WhoWasGivenSomethingLooksTheNextTime) {
  Waiters waiters([] {});
  Waiters::ClaimWaiter claim(waiters);
  const Waiters::Claiming claiming{"w", 1, 30s};
  const Demand demand{{}, kA, 1};
  claim.enter(demand);
  claim.looking();
  claim.found_nothing();
  auto waiting = std::async(std::launch::async, [&] {
    claim.wait(Waiters::deadline_after(1h), &claiming);
    std::vector<Lane> leftover;
    return claim.take_given(leftover).has_value();
  });
  Waiters::Loan loan;
  while (!(loan = waiters.lend({"q", "a"}))) std::this_thread::yield();
  loan.give(one_job(), {});
  EXPECT_TRUE(waiting.get());
  claim.leave({});
  waiters.polled();
  claim.enter(demand);
  EXPECT_FALSE(claim.looks_in_vain());
  claim.leave({});
}

}  // namespace
}  // namespace carrel::sql
