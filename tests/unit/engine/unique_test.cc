// Unique jobs through the engine: the key is made of what the configuration names.
#include <carrel/conformance/store_wrapper.h>
#include <carrel/memory.h>
#include <gmock/gmock.h>

#include "fixture.h"

namespace carrel {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""ms;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Config unique(std::vector<std::string> fields) {
  Config config = memory_config();
  config.jobs["sync"].unique.fields = std::move(fields);
  return config;
}

Inserted insert(Engine& engine, const Json& args, const EnqueueOptions& options = {}) {
  auto inserted = engine.insert("sync", args, options);
  EXPECT_TRUE(inserted) << inserted.error().message;
  return inserted.value_or(Inserted{});
}

class PlainStore final : public conformance::StoreWrapper {
 public:
  using StoreWrapper::StoreWrapper;
  StoreTraits traits() const noexcept override {
    StoreTraits traits = StoreWrapper::traits();
    traits.limits = traits.unique = traits.rates = false;
    return traits;
  }
};

TEST(Features, WhatTheStoreDoesNotHaveIsRefusedByItsKey) {
  Registry registry = Registry::with_builtins();
  registry.add_store(
      "plain",
      [](const Url&, const BackendOptions& options) -> Result<std::unique_ptr<Store>> {
        return std::make_unique<PlainStore>(make_memory_store(options));
      });
  const auto refusal = [&](Config config) {
    config.store = "plain:";
    const auto ignited = Engine::open(std::move(config), registry).value().ignite();
    return ignited ? std::string() : ignited.error().message;
  };
  EXPECT_EQ(refusal(memory_config()), "");
  EXPECT_THAT(refusal(unique({"args"})), HasSubstr("jobs.sync.unique.fields"));
  Config limited = memory_config();
  limited.defaults.concurrency = {"", 1};
  EXPECT_THAT(refusal(limited), HasSubstr("defaults.concurrency.limit"));
  Config rated = memory_config();
  rated.jobs["call"].rate.starts = 1;
  EXPECT_THAT(refusal(rated), HasSubstr("jobs.call.rate.starts"));
}

TEST(Unique, ByAllArgumentsWhateverTheOrderOfTheirMembers) {
  Engine engine = open(unique({"args"}));
  const Inserted first = insert(engine, {{"a", 1}, {"b", {{"x", 1}, {"y", 2}}}});
  EXPECT_FALSE(first.existed);
  const Inserted same = insert(engine, Json::parse(R"({"b": {"y": 2, "x": 1}, "a": 1})"));
  EXPECT_TRUE(same.existed);
  EXPECT_EQ(same.id, first.id);
  EXPECT_FALSE(insert(engine, {{"a", 2}}).existed);
  EXPECT_FALSE(insert(engine, {}).existed);
  EXPECT_TRUE(insert(engine, {}).existed);
}

TEST(Unique, ByChosenArguments) {
  Engine engine = open(unique({"args.user.id"}));
  const Inserted first = insert(engine, {{"user", {{"id", 7}, {"name", "a"}}}});
  EXPECT_TRUE(insert(engine, {{"user", {{"id", 7}, {"name", "b"}}}, {"x", 1}}).existed);
  EXPECT_FALSE(insert(engine, {{"user", {{"id", "7"}}}}).existed)
      << "a text is no number";
  EXPECT_EQ(engine.job(first.id)->unique_key, R"(["sync",{"fields":{"user.id":7}}])");
}

TEST(Unique, ByKindAloneAndByQueue) {
  Engine kind = open(unique({"kind"}));
  insert(kind, {{"a", 1}});
  EXPECT_TRUE(insert(kind, {{"a", 2}}, {.queue = "other"}).existed);
  Engine queue = open(unique({"queue"}));
  insert(queue, {{"a", 1}});
  EXPECT_TRUE(insert(queue, {{"a", 2}}).existed);
  EXPECT_FALSE(insert(queue, {{"a", 1}}, {.queue = "other"}).existed);
}

TEST(Unique, LongArgumentsAndBytesAreComparedToo) {
  Engine engine = open(unique({"args"}));
  const std::string large(10'000, 'x');
  const Inserted first = insert(engine, {{"text", large}});
  EXPECT_TRUE(insert(engine, {{"text", large}}).existed);
  EXPECT_FALSE(insert(engine, {{"text", large + "y"}}).existed);
  EXPECT_THAT(engine.job(first.id)->unique_key, StartsWith("sync:"));
  const auto bytes = engine.enqueue_bytes("sync", "\xff\x01");
  EXPECT_EQ(engine.enqueue_bytes("sync", "\xff\x01").value(), bytes.value());
  EXPECT_NE(engine.enqueue_bytes("sync", "\xff\x02").value(), bytes.value());
}

TEST(Unique, WithoutAPeriodAJobThatEndedDoesNotCount) {
  Engine engine = open(unique({"args"}));
  engine.handle("sync", [](Context&) {});
  const Inserted first = insert(engine, 1);
  ASSERT_TRUE(engine.drain());
  EXPECT_FALSE(insert(engine, 1).existed);
}

TEST(Unique, WithAPeriodACompletedJobCounts) {
  Config config = unique({"args"});
  config.jobs["sync"].unique.period = 1h;
  Engine engine = open(std::move(config));
  engine.handle("sync", [](Context&) {});
  const Inserted first = insert(engine, 1);
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(insert(engine, 1).id, first.id);
}

TEST(Unique, ARequestMaySayItselfWhatItIs) {
  Engine engine = open(unique({"args"}));
  const Inserted first = insert(engine, {{"a", 1}});
  EXPECT_FALSE(insert(engine, {{"a", 1}}, {.unique = UniqueConfig{}}).existed);
  UniqueConfig other;
  other.fields = {"args.a"};
  other.on_conflict = OnConflict::kReplace;
  const Inserted second = insert(engine, {{"a", 1}, {"b", 1}}, {.unique = other});
  EXPECT_FALSE(second.existed) << "by another field it is another key";
  const Inserted third = insert(engine, {{"a", 1}, {"b", 2}}, {.unique = other});
  EXPECT_TRUE(third.replaced);
  EXPECT_EQ(engine.job(second.id)->payload, R"({"a":1,"b":2})");
}

TEST(Unique, ReplacedJobsRunOnceWithTheLastArguments) {
  Config config = unique({"kind"});
  config.jobs["sync"].unique.on_conflict = OnConflict::kReplace;
  Engine engine = open(std::move(config));
  std::vector<int> seen;
  engine.handle("sync", [&](Context& job) { seen.push_back(job.args()); });
  for (const int n : {1, 2, 3}) insert(engine, n);
  ASSERT_TRUE(engine.drain());
  EXPECT_THAT(seen, ElementsAre(3));
}

TEST(Unique, ArgumentsWithoutTheFieldAreRefusedByName) {
  Engine engine = open(unique({"args.user"}));
  const auto missing = engine.enqueue("sync", {{"usr", 1}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kInvalid);
  EXPECT_THAT(missing.error().message, HasSubstr("the argument \"user\""));
  EXPECT_FALSE(engine.enqueue_bytes("sync", "not json"));
  UniqueConfig bad;
  bad.fields = {"arg.user"};
  const auto unknown = engine.enqueue("sync", {}, {.unique = bad});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("\"arg.user\" is no field"));
}

TEST(Unique, TheConfigurationIsReadAndChecked) {
  const auto config = Config::parse(
      "[jobs.sync]\nunique = { fields = [\"args.user\", \"queue\"], period = \"1h\", "
      "states = [\"running\", \"completed\"], on_conflict = \"replace_keep_time\" }\n",
      "c.toml");
  ASSERT_TRUE(config) << config.error().message;
  const UniqueConfig& unique = config->jobs.at("sync").unique;
  EXPECT_THAT(unique.fields, ElementsAre("args.user", "queue"));
  EXPECT_EQ(unique.period, Duration(1h));
  EXPECT_THAT(unique.states, ElementsAre(State::kRunning, State::kCompleted));
  EXPECT_EQ(unique.on_conflict, OnConflict::kReplaceKeepTime);

  const auto error_of = [](const std::string& table) {
    const auto bad = Config::parse("[jobs.sync]\nunique = " + table + "\n", "c.toml");
    return bad ? std::string("it was taken") : bad.error().message;
  };
  EXPECT_THAT(error_of("{ fields = [\"user\"] }"),
              HasSubstr("jobs.sync.unique.fields: \"user\" is no field"));
  EXPECT_THAT(error_of("{ fields = [\"args.\"] }"), HasSubstr("is no field"));
  EXPECT_THAT(error_of("{ period = \"1h\" }"),
              HasSubstr("jobs.sync.unique.period: needs unique.fields"));
  EXPECT_THAT(error_of("{ fields = [\"args\"], states = [\"done\"] }"),
              HasSubstr("expected only pending, scheduled"));
  EXPECT_THAT(error_of("{ fields = [\"args\"], on_conflict = \"drop\" }"),
              HasSubstr("expected \"skip\", \"replace\" or \"replace_keep_time\""));
}

}  // namespace
}  // namespace carrel
