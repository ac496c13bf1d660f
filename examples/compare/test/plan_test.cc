// The file that names the combinations: what it means, and what it refuses.
#include "plan.h"

#include <carrel/config.h>
#include <gmock/gmock.h>

namespace compare {
namespace {

using testing::HasSubstr;

constexpr const char* kSmall = R"(baseline = "mutex"
concurrency = [1, 2]
[work]
dictionary = "/usr/share/dict/words"
fallback = "words.txt"
setting = "$1$carrel01$"
words_per_job = 16
jobs = 300
latency_jobs = 200
timeout_seconds = 60
[quick]
jobs = 5
concurrency = [4]
[[queue]]
name = "memory"
url = "memory:"
[[store]]
name = "memory"
url = "memory:"
[[store]]
name = "sqlite"
url = "sqlite:jobs.db"
[[isolation]]
name = "thread"
wrong = "some"
[[isolation]]
name = "mutex"
wrong = "none"
[[isolation]]
name = "exec"
wrong = "none"
job = { command = ["{here}/hash_words", "x"], timeout = "5s" }
[engine]
worker = { beat = "250ms" }
)";

std::string with(std::string text, const std::string& old, const std::string& now) {
  const auto at = text.find(old);
  EXPECT_NE(at, std::string::npos) << old;
  return at == std::string::npos ? text : text.replace(at, old.size(), now);
}

std::string error_of(const std::string& text) {
  const auto plan = parse_plan(text, "/p/compare.toml", false);
  EXPECT_FALSE(plan.has_value());
  return plan ? "" : plan.error().message;
}

TEST(Plan, NamesEveryCombinationSideBySide) {
  const auto plan = parse_plan(kSmall, "/p/compare.toml", false);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  const auto all = combinations(*plan);
  ASSERT_EQ(all.size(), 1U * 2 * 2 * 3);
  EXPECT_EQ(all[0].isolation.name, "thread");
  EXPECT_EQ(all[1].isolation.name, "mutex");
  EXPECT_EQ(all[2].concurrency, 1U);
  EXPECT_EQ(all[3].concurrency, 2U);
  EXPECT_EQ(all[6].store.name, "sqlite");
  EXPECT_EQ(plan->fallback, "/p/words.txt");
}

TEST(Plan, QuickChangesWhatItNames) {
  const auto plan = parse_plan(kSmall, "/p/compare.toml", true);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->jobs, 5U);
  EXPECT_EQ(plan->concurrency, std::vector<std::size_t>{4});
  EXPECT_EQ(plan->latency_jobs, 200U);
}

TEST(Plan, RefusesWhatItDoesNotKnowAndSaysWhere) {
  EXPECT_THAT(error_of(with(kSmall, "jobs = 300", "jbos = 300")),
              HasSubstr("/p/compare.toml:8: unknown key \"jbos\" in [work]"));
  EXPECT_THAT(error_of(with(kSmall, "jobs = 300", "jobs = \"300\"")),
              HasSubstr("/p/compare.toml:8: jobs: expected a whole number"));
  EXPECT_THAT(error_of(with(kSmall, "jobs = 300", "jobs = 0")),
              HasSubstr("jobs: expected 1"));
  EXPECT_THAT(error_of(with(kSmall, "jobs = 300\n", "")), HasSubstr("jobs is missing"));
  EXPECT_THAT(error_of(with(kSmall, "[1, 2]", "[]")), HasSubstr("concurrency"));
  EXPECT_THAT(error_of(with(kSmall, "\"mutex\"\nconc", "\"lock\"\nconc")),
              HasSubstr("no [[isolation]] is called \"lock\""));
  EXPECT_THAT(error_of(with(kSmall, "\"some\"", "\"many\"")),
              HasSubstr("wrong: expected"));
  EXPECT_THAT(error_of(with(kSmall, "name = \"sqlite\"", "name = \"memory\"")),
              HasSubstr("same name"));
  EXPECT_THAT(error_of("a = ["), HasSubstr("/p/compare.toml:1: "));
}

TEST(Plan, GivesEveryEngineAConfigurationThatItTakes) {
  const auto plan = parse_plan(kSmall, "/p/compare.toml", false);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  const auto all = combinations(*plan);
  const std::string text = engine_toml(*plan, all.back(), "mine");
  const auto config = carrel::Config::parse(text, "engine.toml");
  ASSERT_TRUE(config.has_value()) << config.error().message << "\n" << text;
  EXPECT_EQ(config->store, "sqlite:jobs.db");
  EXPECT_EQ(config->queue, "memory:");
  EXPECT_EQ(config->worker.concurrency, 2U);
  EXPECT_EQ(config->worker.beat, std::chrono::milliseconds(250));
  EXPECT_EQ(config->worker.queues, std::vector<std::string>{"mine"});
  const carrel::KindConfig& kind = config->kind("hash");
  EXPECT_EQ(kind.isolation, "exec");
  EXPECT_EQ(kind.queue, "mine");
  EXPECT_EQ(kind.timeout, std::chrono::seconds(5));
  ASSERT_EQ(kind.command.size(), 2U);
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  EXPECT_EQ(kind.command[0], (here / "hash_words").string());
}

TEST(Plan, TheShippedFileCoversTheEmbeddedCombinations) {
  const auto plan = read_plan(COMPARE_FOLDER "/compare.toml", false);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->concurrency, (std::vector<std::size_t>{1, 2, 4, 8}));
  EXPECT_EQ(combinations(*plan).size(), 2U * 2 * 4 * 4);
  EXPECT_TRUE(std::filesystem::exists(plan->fallback));
}

}  // namespace
}  // namespace compare
