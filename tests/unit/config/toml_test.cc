#include <carrel/config.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Toml, AnEmptyFileIsAllDefaults) {
  const auto config = Config::parse("", "c.toml");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->store, "memory:");
  EXPECT_EQ(config->defaults.isolation, "thread");
  EXPECT_EQ(config->worker.lease, 30s);
  EXPECT_TRUE(config->jobs.empty());
}

TEST(Toml, SetsEveryMember) {
  const auto config = Config::parse(R"(
store = "sqlite:jobs.db"
queue = "sqlite:jobs.db"
role = "worker"
mode = "inline"
strict_kinds = true
plugins = ["a.so", "b.so"]
[worker]
concurrency = 3
queues = ["x", "y"]
prefetch = 7
lease = "1m"
beat = "1s"
poll = "2s"
grace = "0s"
[retention]
completed = "1h"
cancelled = "2h"
discarded = "3h"
max_rows = 4
[log]
level = "warn"
[defaults]
priority = -5
[jobs.grade]
isolation = "exec"
queue = "q"
priority = 9
max_attempts = 4
timeout = "1.5s"
start_within = "2h"
retry = { base = "2s", power = 2.5, cap = "1m", jitter = 0, max_crashes = 0 }
stop_grace = "1ms"
term_grace = "2ms"
drain_grace = "3ms"
result_limit = "64KiB"
command = ["prog", "-x"]
env = { A = "1", B = "2" }
pass_env = []
cwd = "work"
output = "text"
[jobs.grade.settings]
deep = { list = [1, 2.5, "x", true] }
[jobs.serial]
isolation = "mutex"
key = "user:{user}"
result_limit = 100
)",
                                    "c.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->store, "sqlite:jobs.db");
  EXPECT_EQ(config->queue, "sqlite:jobs.db");
  EXPECT_EQ(config->mode, Mode::kInline);
  EXPECT_TRUE(config->strict_kinds);
  EXPECT_THAT(config->plugins, ElementsAre("a.so", "b.so"));
  EXPECT_EQ(config->worker.concurrency, 3u);
  EXPECT_THAT(config->worker.queues, ElementsAre("x", "y"));
  EXPECT_EQ(config->worker.prefetch, 7u);
  EXPECT_EQ(config->worker.lease, 60s);
  EXPECT_EQ(config->worker.beat, 1s);
  EXPECT_EQ(config->worker.poll, 2s);
  EXPECT_EQ(config->worker.grace, 0s);
  EXPECT_EQ(config->retention.completed, 1h);
  EXPECT_EQ(config->retention.cancelled, 2h);
  EXPECT_EQ(config->retention.discarded, 3h);
  EXPECT_EQ(config->retention.max_rows, 4u);
  EXPECT_EQ(config->log.level, LogLevel::kWarn);
  const KindConfig& grade = config->kind("grade");
  EXPECT_EQ(grade.isolation, "exec");
  EXPECT_EQ(grade.queue, "q");
  EXPECT_EQ(grade.priority, 9);
  EXPECT_EQ(grade.max_attempts, 4);
  EXPECT_EQ(grade.start_within, 2h);
  EXPECT_EQ(grade.retry.base, 2s);
  EXPECT_EQ(grade.retry.power, 2.5);
  EXPECT_EQ(grade.retry.cap, 60s);
  EXPECT_EQ(grade.retry.jitter, 0);
  EXPECT_EQ(grade.retry.max_crashes, 0);
  EXPECT_THAT(grade.command, ElementsAre("prog", "-x"));
  EXPECT_EQ(grade.env, (std::map<std::string, std::string>{{"A", "1"}, {"B", "2"}}));
  EXPECT_TRUE(grade.pass_env.empty());
  EXPECT_EQ(grade.cwd, "work");
  EXPECT_EQ(grade.output, Output::kText);
  EXPECT_EQ(grade.settings, (Json{{"deep", {{"list", {1, 2.5, "x", true}}}}}));
  EXPECT_EQ(grade.limits().wall, 1500ms);
  EXPECT_EQ(grade.limits().stop_grace, 1ms);
  EXPECT_EQ(grade.limits().term_grace, 2ms);
  EXPECT_EQ(grade.limits().drain_grace, 3ms);
  EXPECT_EQ(grade.limits().result_bytes, 65'536u);
  EXPECT_EQ(config->kind("serial").key, "user:{user}");
  EXPECT_EQ(config->kind("serial").result_limit, 100u);
  EXPECT_EQ(config->kind("serial").priority, -5);
  EXPECT_EQ(config->kind("unheard of").priority, -5);
}

TEST(Toml, AKindTakesWhatItLeavesOutFromTheDefaultsWhereverTheyStand) {
  const auto config = Config::parse(R"(
[jobs.a]
timeout = "1s"
[jobs.b]
isolation = "thread"
[defaults]
isolation = "exec"
command = ["run-it"]
timeout = "9s"
queue = "programs"
)",
                                    "c.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->kind("a").isolation, "exec");
  EXPECT_THAT(config->kind("a").command, ElementsAre("run-it"));
  EXPECT_EQ(config->kind("a").timeout, 1s);
  EXPECT_EQ(config->kind("b").timeout, 9s);
  EXPECT_EQ(config->kind("b").queue, "programs");
  EXPECT_TRUE(config->kind("b").command.empty()) << "a thread runs no program";
}

TEST(Toml, AWrongTypeNamesPlaceKeyAndWhatWouldBeRight) {
  EXPECT_EQ(error_of("[worker]\n  lease = 30\n"),
            "c.toml:2:11: worker.lease: expected a duration such as \"30s\", got 30");
  EXPECT_EQ(error_of("store = 1"), "c.toml:1:9: store: expected a string, got 1");
  EXPECT_EQ(error_of("strict_kinds = \"yes\""),
            "c.toml:1:16: strict_kinds: expected true or false, got \"yes\"");
  EXPECT_EQ(error_of("role = \"boss\""),
            "c.toml:1:8: role: expected \"worker\" or \"producer\", got \"boss\"");
  EXPECT_EQ(error_of("[log]\nlevel = 3"),
            "c.toml:2:9: log.level: expected \"debug\", \"info\", \"warn\", \"error\" or "
            "\"off\", got 3");
  EXPECT_EQ(error_of("[worker]\nconcurrency = 2.5"),
            "c.toml:2:15: worker.concurrency: expected a whole number, got 2.5");
  EXPECT_EQ(error_of("plugins = [\"a\", 2]"),
            "c.toml:1:11: plugins: expected only strings in the array, got 2");
  EXPECT_EQ(error_of("[jobs.x]\nenv = { A = 1 }"),
            "c.toml:2:7: jobs.x.env: expected a string for \"A\", got 1");
  EXPECT_EQ(error_of("[jobs.x]\nsettings = 1"),
            "c.toml:2:12: jobs.x.settings: expected a table, got 1");
  EXPECT_THAT(error_of("[jobs.x]\ntimeout = 1979-05-27"),
              StartsWith("c.toml:2:11: jobs.x.timeout: expected a duration"));
  EXPECT_THAT(error_of("worker = 4"), HasSubstr("worker: expected a table, [worker]"));
  EXPECT_THAT(error_of("jobs = []"), HasSubstr("jobs: expected a table"));
  EXPECT_THAT(error_of("[jobs]\nx = 1"), HasSubstr("2:5: jobs.x: expected a table"));
}

TEST(Toml, AWrongUnitOrRangeNamesWhatWouldBeRight) {
  EXPECT_EQ(error_of("[worker]\nlease = \"30 sec\"\n"),
            "c.toml:2:9: worker.lease: expected a duration such as \"30s\", got "
            "\"30 sec\": the unit must be one of us, ms, s, m, h, d");
  EXPECT_THAT(
      error_of("[jobs.x]\nresult_limit = \"1MB\""),
      HasSubstr("2:16: jobs.x.result_limit: expected a number of bytes or a size"));
  EXPECT_THAT(error_of("[jobs.x]\ntimeout = \"-1s\""), HasSubstr("expected at least 0s"));
  EXPECT_THAT(error_of("[worker]\npoll = \"0s\""), HasSubstr("expected at least 1ms"));
  EXPECT_THAT(error_of("[worker]\nlease = \"99999d\""),
              HasSubstr("expected at most 36500d"));
  EXPECT_EQ(error_of("[defaults]\nmax_attempts = 65536"),
            "c.toml:2:16: defaults.max_attempts: expected at most 65535, got 65536");
  EXPECT_THAT(error_of("[defaults]\nmax_attempts = 0"), HasSubstr("expected at least 1"));
  EXPECT_THAT(error_of("[defaults]\npriority = -32769"), HasSubstr("at least -32768"));
  EXPECT_THAT(error_of("[jobs.x]\nresult_limit = 0"), HasSubstr("expected at least 1B"));
  EXPECT_THAT(error_of("[jobs.x]\nresult_limit = \"2GiB\""), HasSubstr("at most 1GiB"));
  EXPECT_THAT(error_of("[worker]\nconcurrency = -1"), HasSubstr("at least 0, got -1"));
  EXPECT_THAT(error_of("[defaults.retry]\njitter = 1.5"),
              HasSubstr("at most 1, got 1.5"));
  EXPECT_THAT(error_of("[defaults.retry]\npower = nan"), HasSubstr("a number, got nan"));
}

// Found by fuzzing: the parser library takes these for impossible.
TEST(Toml, CharactersThatNoKeyCanHaveAreRefused) {
  EXPECT_THAT(error_of("\uFEF7 = 1"), StartsWith("c.toml:1:1: not TOML"));
  EXPECT_THAT(error_of("a = \uFB50"), StartsWith("c.toml:1:5: not TOML"));
}

TEST(Toml, AnUnknownKeySuggestsTheNearest) {
  EXPECT_EQ(error_of("stroe = \"memory:\""),
            "c.toml:1:1: stroe: there is no such key; did you mean \"store\"?");
  EXPECT_EQ(error_of("[worker]\nconcurency = 4"),
            "c.toml:2:1: worker.concurency: there is no such key; did you mean "
            "\"worker.concurrency\"?");
  EXPECT_THAT(error_of("[wroker]\nlease = \"1s\""),
              HasSubstr("did you mean \"worker\"?"));
  EXPECT_THAT(error_of("concurrency = 4"),
              HasSubstr("did you mean \"worker.concurrency\"?"));
  EXPECT_THAT(error_of("[job.x]\ntimeout = \"1s\""), HasSubstr("did you mean \"jobs\"?"));
  EXPECT_THAT(error_of("[queue.a]\nlimit = 3"), HasSubstr("did you mean [queues]?"));
  EXPECT_THAT(error_of("queue = 3"), Not(HasSubstr("did you mean")));
  EXPECT_EQ(error_of("[jobs.grade]\n\ntimout = \"1s\""),
            "c.toml:3:1: jobs.grade.timout: there is no such key; did you mean "
            "\"jobs.grade.timeout\"?");
  EXPECT_THAT(error_of("[defaults]\nretry = { bsae = \"1s\" }"),
              HasSubstr("2:11: defaults.retry.bsae: there is no such key; did you mean "
                        "\"defaults.retry.base\"?"));
  EXPECT_EQ(error_of("nothing_like_it = 1"),
            "c.toml:1:1: nothing_like_it: there is no such key");
}

TEST(Toml, OfSeveralErrorsTheFirstInTheFileIsTold) {
  EXPECT_THAT(error_of("[worker]\nzzz = 1\nlease = 1\n[log]\nlevel = 1"),
              StartsWith("c.toml:2:1:"));
  EXPECT_THAT(error_of("[jobs.a]\ntimeout = 1\n[defaults]\ntimeout = 2"),
              StartsWith("c.toml:2:"));
}

TEST(Toml, WhatIsNoTomlNamesThePlace) {
  EXPECT_THAT(error_of("a = \n"), StartsWith("c.toml:1:"));
  EXPECT_THAT(error_of("x = 1\n[worker\n"), StartsWith("c.toml:2:"));
  EXPECT_THAT(error_of("store = \"\xff\""), HasSubstr("not TOML"));
  EXPECT_THAT(error_of("store = \"memory:\"\nstore = \"memory:\""),
              StartsWith("c.toml:2:"));
}

class File : public testing::Test {
 protected:
  File() {
    std::string name =
        (std::filesystem::temp_directory_path() / "carrel_config_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~File() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(File, IsNamedInErrorsAndItsFolderIsKept) {
  const auto path = folder_ / "c.toml";
  std::ofstream(path) << "store = \"memory:\"\n";
  const auto config = Config::load(path);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->directory, folder_);
  EXPECT_EQ(config->places.at("store"), path.string() + ":1:1");

  std::ofstream(path) << "store = 1\n";
  EXPECT_THAT(Config::load(path).error().message,
              StartsWith(path.string() + ":1:9: store:"));
}

TEST_F(File, ThatCannotBeReadIsAClearError) {
  const auto missing = Config::load(folder_ / "absent.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("absent.toml: No such file"));
  const auto endless = Config::load("/dev/zero");
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().code, Code::kInvalid);
  EXPECT_THAT(endless.error().message, HasSubstr("/dev/zero is too large"));
  const auto folder = Config::load(folder_);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, Code::kInvalid);
  EXPECT_THAT(folder.error().message, HasSubstr("directory"));
}

}  // namespace
}  // namespace carrel
