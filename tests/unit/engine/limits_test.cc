#include <array>
#include <atomic>

#include "fixture.h"

namespace carrel {
namespace {

Config limited(std::string key, std::uint32_t limit) {
  Config config = memory_config(4);
  config.jobs["sync"].concurrency = {std::move(key), limit};
  return config;
}

// Counts how many run at once, by community.
struct Crowd {
  std::array<std::atomic<int>, 2> now{};
  std::atomic<int> most{0};

  void visit(int community) {
    int seen = most.load();
    const int mine = ++now.at(static_cast<std::size_t>(community));
    while (seen < mine && !most.compare_exchange_weak(seen, mine)) {
    }
    std::this_thread::yield();
    --now.at(static_cast<std::size_t>(community));
  }
};

TEST(Limits, JobsOfOneKeyRunOneAtATimeAndAllRun) {
  Engine engine = open(limited("community:{community}", 1));
  Crowd crowd;
  engine.handle("sync", [&](Context& job) { crowd.visit(job.args().at("community")); });
  std::vector<Request> requests;
  for (int i = 0; i < 200; ++i) requests.push_back({"sync", {{"community", i % 2}}});
  ASSERT_TRUE(engine.start());
  for (const auto& id : engine.enqueue(requests)) {
    ASSERT_TRUE(engine.wait(id.value(), kLong));
  }
  EXPECT_EQ(crowd.most.load(), 1);
}

TEST(Limits, WithoutAKeyTheKindIsLimited) {
  Engine engine = open(limited("", 2));
  engine.handle("sync", [](Context&) {});
  const auto ids = engine.enqueue(std::vector<Request>(3, Request{"sync", {}}));
  EXPECT_EQ(engine.job(ids[1].value())->state, State::kAvailable);
  const auto third = engine.job(ids[2].value()).value();
  EXPECT_EQ(third.state, State::kPending);
  EXPECT_EQ(third.limit->key, "kind:sync");
  EXPECT_TRUE(engine.drain());
  EXPECT_EQ(engine.job(ids[2].value())->state, State::kCompleted);
}

TEST(Limits, ARequestMayNameItsOwn) {
  Engine engine = open(limited("", 1));
  const auto id = engine.enqueue("other", {}, {.limit = Limit{"mine", 7}}).value();
  EXPECT_EQ(engine.job(id)->limit->key, "mine");
}

TEST(Limits, ArgumentsWithoutTheFieldAreRefusedByName) {
  Engine engine = open(limited("community:{community}", 1));
  const auto bad = engine.enqueue("sync", {{"user", 1}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalid);
  EXPECT_NE(bad.error().message.find("community"), std::string::npos);
}

TEST(Limits, AKeyWithoutANumberIsRefused) {
  const auto config = Config::parse(
      "[jobs.sync]\nconcurrency = { key = \"community:{community}\" }\n", "c.toml");
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("concurrency.limit"), std::string::npos)
      << config.error().message;
}

}  // namespace
}  // namespace carrel
