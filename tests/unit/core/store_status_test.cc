#include "store_status.h"

#include <gtest/gtest.h>

#include <vector>

namespace carrel {
namespace {

using namespace std::chrono_literals;

const Error kFull{Code::kUnavailable, "the disk is full"};

struct StoreStatusTest : testing::Test {
  std::vector<std::string> lines;
  Duration now = 1h;
  StoreStatus status{
      [this](LogLevel, std::string_view line) { lines.emplace_back(line); }, 2min,
      [this] { return now; }};
};

// A worker that looks alive and takes no jobs.
TEST_F(StoreStatusTest, AStoreThatStaysAwayIsComplainedOfAgainAndAgain) {
  for (int i = 0; i <= 60; ++i) {
    status.failed(StoreCall::kClaim, kFull);
    now += 5s;
  }
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "claim: the store does not answer: the disk is full",
                       "claim: the store has failed for 2m: the disk is full",
                       "claim: the store has failed for 4m: the disk is full"}));
  status.answered(StoreCall::kClaim, true);
  status.failed(StoreCall::kClaim, kFull);
  EXPECT_EQ(lines.back(), "claim: the store does not answer: the disk is full");
}

TEST_F(StoreStatusTest, WhoOnlyLooksDoesNotSayThatAStoreTakesWritesAgain) {
  status.failed(StoreCall::kFinish, kFull);
  status.answered(StoreCall::kClaim, false);
  status.answered(StoreCall::kSweep, false);
  status.failed(StoreCall::kFinish, kFull);
  EXPECT_EQ(status.error(), "finish: the disk is full");
  status.answered(StoreCall::kFinish, true);
  EXPECT_EQ(status.error(), std::nullopt);
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "finish: the store does not answer: the disk is full",
                       "the store answers again"}));
}

TEST_F(StoreStatusTest, EachTakesBackItsOwnComplaint) {
  status.failed(StoreCall::kClaim, kFull);
  status.failed(StoreCall::kSweep, kFull);
  status.answered(StoreCall::kClaim, false);
  EXPECT_EQ(status.error(), "sweep: the disk is full");
  status.answered(StoreCall::kSweep, false);
  EXPECT_EQ(status.error(), std::nullopt);
  EXPECT_EQ(lines.size(), 2U);
}

TEST_F(StoreStatusTest, AnEndThatCouldNotBeStoredSaysNothingOfTheStore) {
  status.doubt(kFull);
  EXPECT_TRUE(status.doubted());
  EXPECT_EQ(status.error(), std::nullopt);
  status.answered(StoreCall::kBeat, false);
  EXPECT_TRUE(status.doubted());
  status.answered(StoreCall::kBeat, true);
  EXPECT_FALSE(status.doubted());
  EXPECT_EQ(lines.size(), 0U);
}

TEST_F(StoreStatusTest, WhereTheNextWriteFailsTooOnlyAnotherTakesItBack) {
  status.doubt(kFull);
  status.failed(StoreCall::kBeat, kFull);
  status.doubt(kFull);
  status.answered(StoreCall::kBeat, false);
  EXPECT_EQ(status.error(), "finish: the disk is full");
  status.answered(StoreCall::kBeat, true);
  EXPECT_EQ(status.error(), std::nullopt);
  EXPECT_EQ(lines.size(), 2U);
}

TEST_F(StoreStatusTest, AWriteTakesBackAll) {
  for (const StoreCall call : {StoreCall::kClaim, StoreCall::kBeat, StoreCall::kFinish}) {
    status.failed(call, kFull);
  }
  status.answered(StoreCall::kBeat, true);
  EXPECT_EQ(status.error(), std::nullopt);
  EXPECT_EQ(lines.size(), 2U);
}

}  // namespace
}  // namespace carrel
