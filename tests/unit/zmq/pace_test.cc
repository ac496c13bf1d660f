#include "pace.h"

#include <gtest/gtest.h>

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;

// A broker forgets whom it has not heard of for three intervals and 3 s.
constexpr auto kForgets = 3s;

class PaceTest : public testing::Test {
 protected:
  PaceTest() {
    pace_.begin(now_);
    pace_.heard(now_);
  }
  // The next heartbeat, and its answer.
  void beat() {
    const Pace::Time due = pace_.due(now_);
    ASSERT_GT(due, now_) << "a poll that does not wait, again and again";
    ASSERT_LT(due - now_, 3 * told_ + kForgets) << "the broker has forgotten it";
    ASSERT_LT(due, pace_.lost());
    now_ = due;
    ASSERT_LE(pace_.due(now_), now_) << "what wakes it says that there is nothing to do";
    told_ = pace_.beat(now_);
    pace_.sent(now_);
    pace_.heard(now_);
  }
  Pace::Time now_{1h};
  Duration told_ = 2s;
  Pace pace_{2s};
};

TEST_F(PaceTest, WhoOnlyWaitsIsHeardOfLessOftenAndNeverForgotten) {
  const Pace::Time begin = now_;
  int beats = 0;
  for (; now_ < begin + 10min && !HasFatalFailure(); ++beats) beat();
  EXPECT_EQ(told_, 10s);
  EXPECT_LT(beats, 80) << "16 in the first half minute, then six a minute";
}

TEST_F(PaceTest, WhoHasSomethingToDoAgainSaysSoSoonAndIsNotTakenForLost) {
  while (told_ == 2s && !HasFatalFailure()) beat();
  now_ += 9s;  // the broker has nothing to say
  pace_.busy(now_);
  EXPECT_LE(pace_.due(now_), now_);
  EXPECT_EQ(pace_.beat(now_), 2s);
  pace_.sent(now_);
  EXPECT_EQ(pace_.due(now_), now_ + 2s);
  EXPECT_GE(pace_.lost(), now_ + 6s);
}

TEST_F(PaceTest, NoIntervalIsLongerThanTheProtocolAllows) {
  Pace slow(1min);
  slow.begin(now_);
  EXPECT_EQ(slow.beat(now_ + 1h), 1min);
}

}  // namespace
}  // namespace carrel::zmq
