// A server that is away is asked again after a while, which grows, and is not the same
// for all who ask.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "server/connection.h"

namespace carrel::sql::server {
namespace {

using namespace std::chrono_literals;
using Clock = Backoff::Clock;

constexpr auto kStep = 1ms;

// How long it takes from a failure until it may be tried again.
Clock::duration wait_of(Backoff& backoff, Clock::time_point now) {
  backoff.failed(now);
  auto later = now;
  while (!backoff.over(later)) later += kStep;
  return later - now;
}

TEST(Backoff, GrowsToTwoSecondsAndIsHalfByChance) {
  const auto start = Clock::now();
  std::vector<Clock::duration> firsts;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    Backoff backoff(seed * 7919);
    EXPECT_TRUE(backoff.over(start)) << "nothing has failed yet";
    for (const auto whole : {50ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 2000ms, 2000ms}) {
      const auto wait = wait_of(backoff, start);
      EXPECT_GE(wait, whole / 2);
      EXPECT_LE(wait, whole + kStep);
      if (whole == 50ms) firsts.push_back(wait);
    }
    backoff.succeeded();
    EXPECT_LE(wait_of(backoff, start), 50ms + kStep) << "it begins anew";
  }
  const auto [least, most] = std::minmax_element(firsts.begin(), firsts.end());
  EXPECT_LT(*least, 30ms);
  EXPECT_GT(*most, 45ms);
}

// A server that cannot be reached.
class AwayDriver final : public Driver {
 public:
  const Statements& statements() const noexcept override { return statements_; }
  const char* origin() const noexcept override { return "test"; }
  std::uint64_t max_payload() const noexcept override { return 1; }
  std::unique_ptr<Session> connect() override {
    ++asked;
    throw std::runtime_error("it is away");
  }
  Failure failure(Session*) noexcept override { return common_failure("there", "test"); }

  int asked = 0;

 private:
  Statements statements_{};
};

struct NoTables {
  NoTables(Session&, const Statements&) {}
};

// Around the call that asked the driver.
struct Asked {
  Clock::time_point before;
  Clock::time_point after;
};

// Calls until one asks it. Those before are told what the last that did was told.
Asked ask_again(Connection<NoTables>& connection, AwayDriver& driver) {
  const int asked = driver.asked;
  while (true) {
    const auto before = Clock::now();
    try {
      connection.tables();
      ADD_FAILURE() << "it is away";
    } catch (const Away& away) {
      EXPECT_EQ(driver.asked, asked);
      EXPECT_THAT(away.error.message, testing::HasSubstr("it is away"));
    } catch (const std::runtime_error&) {
      EXPECT_EQ(driver.asked, asked + 1);
      return {before, Clock::now()};
    }
  }
}

TEST(Backoff, KeepsCallersFromAskingAServerThatIsAway) {
  AwayDriver driver;
  Connection<NoTables> connection(driver);
  Asked last = ask_again(connection, driver);
  // The shortest that each wait is; how much longer it takes is the machine's affair.
  for (const auto wait : {25ms, 50ms, 100ms, 200ms}) {
    const Asked next = ask_again(connection, driver);
    EXPECT_GE(next.after - last.before, wait) << "asked " << driver.asked << " times";
    last = next;
  }
}

}  // namespace
}  // namespace carrel::sql::server
