#include <algorithm>
#include <chrono>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

Config rated(std::string key, std::uint32_t starts, Duration period) {
  Config config = memory_config(4);
  config.jobs["call"].rate = {std::move(key), starts, period};
  return config;
}

TEST(Rates, NoMoreBeginInAnyWindowAndAllRun) {
  constexpr Duration kPeriod = 50ms;
  constexpr std::size_t kStarts = 5;
  Engine engine = open(rated("user:{user}", kStarts, kPeriod));
  engine.handle("call", [](Context&) {});
  std::vector<Request> requests;
  for (int i = 0; i < 40; ++i) requests.push_back({"call", {{"user", i % 2}}});
  ASSERT_TRUE(engine.start());
  std::vector<std::vector<Time>> begun(2);
  int i = 0;
  for (const auto& id : engine.enqueue(requests)) {
    ASSERT_TRUE(engine.wait(id.value(), kLong));
    begun.at(static_cast<std::size_t>(i++ % 2)).push_back(*engine.job(*id)->started);
  }
  for (auto& times : begun) {
    std::sort(times.begin(), times.end());
    ASSERT_EQ(times.size(), 20U);
    for (std::size_t n = kStarts; n < times.size(); ++n) {
      EXPECT_GE(times[n] - times[n - kStarts], kPeriod) << n;
    }
  }
}

TEST(Rates, WithoutAKeyItIsTheKinds) {
  Engine engine = open(rated("", 2, 1h));
  engine.handle("call", [](Context&) {});
  const auto ids = engine.enqueue(std::vector<Request>(3, Request{"call", {}}));
  EXPECT_EQ(engine.job(ids[1].value())->state, State::kAvailable);
  const auto third = engine.job(ids[2].value()).value();
  EXPECT_EQ(third.state, State::kPending);
  ASSERT_TRUE(third.rate.has_value());
  EXPECT_EQ(third.rate->key, "kind:call");
  EXPECT_EQ(third.rate->starts, 2U);
  EXPECT_EQ(third.rate->period, 1h);
  EXPECT_EQ(Json(third).at("rate").at("period_s"), 3600.0);
}

TEST(Rates, ARequestMayNameItsOwn) {
  Engine engine = open(rated("", 1, 1s));
  const auto id = engine.enqueue("other", {}, {.rate = Rate{"mine", 7, 1min}}).value();
  EXPECT_EQ(engine.job(id)->rate->key, "mine");
}

TEST(Rates, ArgumentsWithoutTheFieldAreRefusedByName) {
  Engine engine = open(rated("user:{user}", 1, 1s));
  const auto bad = engine.enqueue("call", {{"community", 1}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalid);
  EXPECT_NE(bad.error().message.find("the rate of \"call\""), std::string::npos);
  EXPECT_NE(bad.error().message.find("user"), std::string::npos);
}

TEST(Rates, WhatIsWrongWithOneIsSaidWithItsPlace) {
  const auto refusal = [](const char* rate) {
    const auto config =
        Config::parse("[jobs.call]\nrate = " + std::string(rate) + "\n", "c.toml");
    return config ? std::string() : config.error().message;
  };
  for (const char* rate :
       {R"({ key = "user:{user}" })", R"({ period = "1m" })",
        R"({ starts = 1, period = "0s" })", R"({ starts = 1, period = "32d" })",
        R"({ starts = 1, key = "user:{" })", R"({ starts = -1 })"}) {
    const std::string message = refusal(rate);
    EXPECT_NE(message.find("c.toml:2"), std::string::npos) << rate << message;
    EXPECT_NE(message.find("rate."), std::string::npos) << rate << message;
  }
  EXPECT_EQ(refusal(R"({ key = "user:{user}", starts = 5, period = "1m" })"), "");
}

}  // namespace
}  // namespace carrel
