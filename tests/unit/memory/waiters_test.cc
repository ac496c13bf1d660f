#include "waiters.h"

#include <gtest/gtest.h>

#include "fixture.h"

namespace carrel::memory {
namespace {

const std::vector<std::string> kOther = {"other"};
const std::vector<std::string> kImages = {"images"};

class WaitersTest : public testing::Test {
 protected:
  Wakes wakes_;
  Signals signals_;
  Waiters waiters_;
};

TEST_F(WaitersTest, CallsOnlyThoseWhoWantIt) {
  const Demand other{{}, kOther, 1};
  const Demand elsewhere{kImages, kWork, 1};
  const Demand nothing{{}, {}, 1};
  const Demand right{{}, kWork, 1};
  std::vector<Waiters::Waiter> all;
  all.reserve(4);
  for (const Demand* d : {&other, &elsewhere, &nothing, &right}) {
    all.push_back({*d, signals_.take()});
    waiters_.add(all.back());
  }
  waiters_.call("default", "work", 9, wakes_);
  EXPECT_FALSE(all[0].called);
  EXPECT_FALSE(all[1].called);
  EXPECT_FALSE(all[2].called);
  EXPECT_TRUE(all[3].called);
  waiters_.call("images", "work", 1, wakes_);
  EXPECT_TRUE(all[1].called);
}

TEST_F(WaitersTest, CallsAsManyAsThereIsWorkFor) {
  const Demand demand{{}, kWork, 10};
  std::vector<Waiters::Waiter> all;
  all.reserve(3);
  for (int i = 0; i < 3; ++i) {
    all.push_back({demand, signals_.take()});
    waiters_.add(all.back());
  }
  waiters_.call("default", "work", 10, wakes_);
  EXPECT_TRUE(all[0].called);
  EXPECT_FALSE(all[1].called);
  // The first is awake already: what comes now is for others.
  waiters_.call("default", "work", 11, wakes_);
  EXPECT_TRUE(all[1].called);
  EXPECT_TRUE(all[2].called);
  waiters_.call("default", "work", 1, wakes_);  // nobody is left to call
  waiters_.remove(all[1]);
  EXPECT_FALSE(waiters_.empty());
}

TEST_F(WaitersTest, SignalsAreLentAgain) {
  std::condition_variable* first = signals_.take();
  EXPECT_NE(signals_.take(), first);
  signals_.give(first);
  EXPECT_EQ(signals_.take(), first);
}

TEST(DeadlineAfter, NeitherOverflowsNorLiesInThePast) {
  const auto now = std::chrono::steady_clock::now();
  EXPECT_GT(deadline_after(Duration::max()), now + std::chrono::hours(24));
  EXPECT_GE(deadline_after(Duration::min()), now);
}

}  // namespace
}  // namespace carrel::memory
