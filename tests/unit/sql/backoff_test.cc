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

TEST(Backoff, KeepsCallersFromAskingAServerThatIsAway) {
  AwayDriver driver;
  Connection<NoTables> connection(driver);
  const auto end = Clock::now() + 25ms;  // the shortest that it is
  EXPECT_THROW(connection.tables(), std::runtime_error);
  int calls = 0;
  do {
    try {
      connection.tables();
    } catch (const Away& away) {
      EXPECT_THAT(away.error.message, testing::HasSubstr("it is away"));
    } catch (const std::runtime_error&) {
    }
    ++calls;
  } while (Clock::now() < end);
  // On a busy machine the last call may have come later.
  EXPECT_LE(driver.asked, 2) << "of " << calls;
  EXPECT_GE(calls, 1);
}

}  // namespace
}  // namespace carrel::sql::server
