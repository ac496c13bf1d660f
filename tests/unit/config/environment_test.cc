#include <carrel/config.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace carrel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

// Variables for the life of one object.
class Variables {
 public:
  using Pair = std::pair<std::string, std::string>;
  Variables(std::initializer_list<Pair> pairs) : pairs_(pairs) {
    for (const auto& [name, text] : pairs_) setenv(name.c_str(), text.c_str(), 1);
  }
  ~Variables() {
    for (const auto& pair : pairs_) unsetenv(pair.first.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  std::vector<Pair> pairs_;
};

std::string error_with(const std::string& name, const std::string& text) {
  const Variables variables{{name, text}};
  Config config;
  const auto ok = config.apply_environment();
  return ok ? "no error" : ok.error().message;
}

TEST(Environment, OverridesTheFile) {
  auto config = Config::parse("store = \"memory:\"\n[worker]\nlease = \"1m\"", "c.toml");
  ASSERT_TRUE(config);
  const Variables variables{
      {"CARREL_STORE", "sqlite:x.db"},   {"CARREL_ROLE", "producer"},
      {"CARREL_STRICT_KINDS", "true"},   {"CARREL_WORKER_CONCURRENCY", "7"},
      {"CARREL_WORKER_LEASE", "10s"},    {"CARREL_RETENTION_MAX_ROWS", "5"},
      {"CARREL_LOG_LEVEL", "debug"},     {"CARREL_DEFAULTS_RESULT_LIMIT", "2MiB"},
      {"CARREL_DEFAULTS_PRIORITY", "-3"}};
  const auto ok = config->apply_environment();
  ASSERT_TRUE(ok) << ok.error().message;
  EXPECT_EQ(config->store, "sqlite:x.db");
  EXPECT_EQ(config->role, Role::kProducer);
  EXPECT_TRUE(config->strict_kinds);
  EXPECT_EQ(config->worker.concurrency, 7u);
  EXPECT_EQ(config->worker.lease, 10s);
  EXPECT_EQ(config->retention.max_rows, 5u);
  EXPECT_EQ(config->log.level, LogLevel::kDebug);
  EXPECT_EQ(config->defaults.result_limit, 2u << 20);
  EXPECT_EQ(config->defaults.priority, -3);
  EXPECT_EQ(config->places.at("worker.lease"), "CARREL_WORKER_LEASE");
}

TEST(Environment, ADefaultReachesTheKindsThatDoNotSayOtherwise) {
  auto config = Config::parse("[jobs.a]\n[jobs.b]\ntimeout = \"1s\"", "c.toml");
  ASSERT_TRUE(config);
  config->jobs["code"].timeout = 3s;
  const Variables variables{{"CARREL_DEFAULTS_TIMEOUT", "9s"}};
  ASSERT_TRUE(config->apply_environment());
  EXPECT_EQ(config->kind("a").timeout, 9s);
  EXPECT_EQ(config->kind("b").timeout, 1s);
  EXPECT_EQ(config->kind("code").timeout, 3s);
  EXPECT_EQ(config->kind("other").timeout, 9s);
}

// As in a file: a key belongs to the isolation of the defaults.
TEST(Environment, AKeyReachesNoKindOfAnotherIsolation) {
  auto config = Config::parse(
      "[jobs.a]\n[jobs.b]\nisolation = \"fork\"\n[jobs.c]\nisolation = \"mutex\"",
      "c.toml");
  ASSERT_TRUE(config);
  const Variables variables{{"CARREL_DEFAULTS_ISOLATION", "mutex"},
                            {"CARREL_DEFAULTS_KEY", "user:{user}"}};
  const auto ok = config->apply_environment();
  ASSERT_TRUE(ok) << ok.error().message;
  EXPECT_EQ(config->kind("a").isolation, "mutex");
  EXPECT_EQ(config->kind("a").key, "user:{user}");
  EXPECT_EQ(config->kind("b").key, "");
  EXPECT_EQ(config->kind("c").key, "user:{user}");
}

TEST(Environment, AFileIsCheckedTogetherWithItsVariables) {
  const auto path = std::filesystem::path(testing::TempDir()) /
                    ("carrel_variables_" + std::to_string(getpid()) + ".toml");
  std::ofstream(path) << "[worker]\nbeat = \"20s\"\nqueues = [\"x\", \"y\"]\n"
                         "[queues.x]\nweight = 2\n";
  EXPECT_FALSE(Config::load(path));
  const auto alone = Config::load_with_environment(path);
  ASSERT_FALSE(alone);
  EXPECT_THAT(alone.error().message, StartsWith(path.string() + ":2:1: worker.beat: "));
  const Variables variables{{"CARREL_WORKER_LEASE", "2m"},
                            {"CARREL_WORKER_ORDER", "weighted"}};
  const auto config = Config::load_with_environment(path);
  EXPECT_TRUE(config) << config.error().message;
  std::filesystem::remove(path);
}

TEST(Environment, ErrorsNameTheVariable) {
  EXPECT_EQ(error_with("CARREL_WORKER_LEASE", "30"),
            "CARREL_WORKER_LEASE: worker.lease: expected a duration such as \"30s\", got "
            "\"30\": it has no unit (us, ms, s, m, h, d)");
  EXPECT_EQ(error_with("CARREL_WORKER_CONCURRENCY", "many"),
            "CARREL_WORKER_CONCURRENCY: worker.concurrency: expected a whole number, got "
            "\"many\"");
  EXPECT_THAT(error_with("CARREL_ROLE", ""), HasSubstr("CARREL_ROLE: role: expected"));
  EXPECT_EQ(error_with("CARREL_WORKER_BEAT", "20s"),
            "CARREL_WORKER_BEAT: worker.beat: must be at most half of worker.lease: a "
            "lease of 30s with a beat of 20s would end between two beats");
  EXPECT_THAT(error_with("CARREL_WORKER_LEASE", "900ms"),
              StartsWith("CARREL_WORKER_LEASE: worker.lease: must be at least twice"));
  EXPECT_THAT(error_with("CARREL_STORE", "jobs.db"), StartsWith("CARREL_STORE: store: "));
}

TEST(Environment, OfSeveralErrorsTheFirstByNameIsTold) {
  const Variables variables{{"CARREL_WORKER_LEASE", "x"}, {"CARREL_ROLE", "x"}};
  Config config;
  const auto ok = config.apply_environment();
  ASSERT_FALSE(ok);
  EXPECT_THAT(ok.error().message, StartsWith("CARREL_ROLE: "));
}

TEST(Environment, NamesThatWereMeantForUsAreRefused) {
  EXPECT_EQ(error_with("CARREL_STROE", "memory:"),
            "CARREL_STROE: there is no such setting; did you mean \"CARREL_STORE\"?");
  EXPECT_THAT(error_with("CARREL_WORKER_LEESE", "1s"),
              HasSubstr("did you mean \"CARREL_WORKER_LEASE\"?"));
  EXPECT_THAT(error_with("CARREL_WORKER_UNLIKELY", "1"), HasSubstr("no such setting"));
  EXPECT_THAT(error_with("CARREL_CONCURRENCY", "1"),
              HasSubstr("did you mean \"CARREL_WORKER_CONCURRENCY\"?"));
  EXPECT_EQ(error_with("CARREL_WORKER_QUEUES", "a"),
            "CARREL_WORKER_QUEUES: worker.queues is set in the file only");
  EXPECT_EQ(error_with("CARREL_PLUGINS", "a"),
            "CARREL_PLUGINS: plugins is set in the file only");
  EXPECT_EQ(error_with("CARREL_DEFAULTS_RETRY_BASE", "1s"),
            "CARREL_DEFAULTS_RETRY_BASE: defaults.retry.base is set in the file only");
  EXPECT_THAT(error_with("CARREL_SANDBOX_STUDENTS_NPROC", "1"),
              HasSubstr("[sandbox] is set in the file only"));
  EXPECT_THAT(error_with("CARREL_JOBS_GRADE_TIMEOUT", "1s"),
              HasSubstr("in the file only"));
}

TEST(Environment, NamesOfOthersAreLeftAlone) {
  for (const char* name :
       {"CARREL_MODULE_PATH", "CARREL_CONFIG", "CARREL_JOB_ID", "CARREL_JOB_QUEUE",
        "CARREL_JOB_PROGRESS_FD", "CARREL_TEST_SERVER", "CARRELS", "STORE"}) {
    EXPECT_EQ(error_with(name, "x"), "no error") << name;
  }
}

TEST(Environment, AQueueThatIsNoUrlIsRefused) {
  EXPECT_THAT(error_with("CARREL_QUEUE", "images"), StartsWith("CARREL_QUEUE: queue: "));
}

}  // namespace
}  // namespace carrel
