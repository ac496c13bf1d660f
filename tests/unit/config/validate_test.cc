#include <carrel/config.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string error_in(const Config& config) {
  const auto ok = config.validate();
  if (ok) return "no error";
  EXPECT_EQ(ok.error().code, Code::kInvalid);
  return ok.error().message;
}

TEST(Validate, TheDefaultsHold) { EXPECT_TRUE(Config{}.validate()); }

TEST(Validate, NamesThePlaceWhereTheFileSaidIt) {
  EXPECT_THAT(error_of("[worker]\nbeat = \"1s\"\nlease = \"1500ms\""),
              StartsWith("c.toml:3:1: worker.lease: must be at least twice worker.beat"));
  EXPECT_THAT(error_of("[jobs.x]\nisolation = \"exec\""),
              StartsWith("c.toml:1:7: jobs.x: isolation \"exec\" needs a command"));
  // Also where it said the other one of two.
  EXPECT_THAT(
      error_of("[worker]\nbeat = \"20s\""),
      StartsWith("c.toml:2:1: worker.beat: must be at most half of worker.lease"));
  EXPECT_THAT(error_of("role = \"producer\"\nmode = \"inline\""),
              StartsWith("c.toml:2:1: mode: "));
  Config config;
  config.worker.lease = 1ms;
  EXPECT_THAT(error_in(config), StartsWith("worker.lease: must be"));
}

TEST(Validate, Urls) {
  EXPECT_THAT(error_of("store = \"jobs.db\""),
              AllOf(StartsWith("c.toml:1:1: store: \"jobs.db\""), HasSubstr("sqlite:")));
  EXPECT_THAT(error_of("store = \"\""), HasSubstr("store: the URL is empty"));
  EXPECT_THAT(error_of("queue = \"nonsense\""), HasSubstr("queue: \"nonsense\""));
}

TEST(Validate, CommandsAndIsolations) {
  EXPECT_THAT(
      error_of("[jobs.x]\nisolation = \"fork\"\ncommand = [\"a\"]"),
      AllOf(HasSubstr("3:1: jobs.x.command"), HasSubstr("did you mean isolation = "
                                                        "\"exec\"?")));
  EXPECT_THAT(error_of("[jobs.x]\nisolation = \"exec\"\ncommand = [\"\"]"),
              HasSubstr("the program's name is empty"));
  EXPECT_THAT(
      error_of("[jobs.x]\nkey = \"{user}\""),
      HasSubstr("only isolation \"mutex\" has a key; this is isolation \"thread\""));
  EXPECT_THAT(error_of("[jobs.x]\nenv = { A = \"1\" }"),
              HasSubstr("jobs.x.env: is for programs"));
  EXPECT_THAT(error_of("[jobs.x]\ncwd = \"/\""),
              HasSubstr("jobs.x.cwd: is for programs"));
  EXPECT_THAT(
      error_of("[jobs.x]\nrecycle = 5"),
      HasSubstr("jobs.x.recycle: is about the children of isolation \"fork\"; this "
                "is isolation \"thread\""));
  EXPECT_THAT(error_of("[jobs.x]\nisolation = \"\""),
              HasSubstr("jobs.x.isolation: is empty"));
  EXPECT_THAT(error_of("[jobs.x]\nisolation = \"mutex\"\nkey = \"user:{user\""),
              StartsWith("c.toml:3:1: jobs.x.key: key \"user:{user\": "));
  // Left to the registry, or to each kind.
  EXPECT_EQ(error_of("[jobs.x]\nisolation = \"cell\"\nkey = \"k\"\ncommand = [\"a\"]"),
            "no error");
  EXPECT_EQ(error_of("[defaults]\nisolation = \"exec\"\nenv = { A = \"1\" }"),
            "no error");
  EXPECT_EQ(error_of("[defaults]\nrecycle = 5\n[jobs.x]\nisolation = \"thread\""),
            "no error");
}

TEST(Validate, OrdersAndWeightsOfQueues) {
  const std::string queues = "[worker]\nqueues = [\"pull\", \"push\"]\n";
  EXPECT_EQ(error_of(queues + "order = \"strict\""), "no error");
  EXPECT_EQ(error_of(queues + "order = \"weighted\"\n[queues.pull]\nweight = 4"),
            "no error");
  EXPECT_THAT(error_of("[worker]\norder = \"strict\""),
              StartsWith("c.toml:2:1: worker.order: needs worker.queues"));
  EXPECT_THAT(error_of(queues + "order = \"random\""),
              StartsWith("c.toml:3:9: worker.order: expected \"mixed\", \"strict\" or "
                         "\"weighted\", got \"random\""));
  EXPECT_THAT(error_of(queues + "order = \"weighted\"\n[queues.pull]\nweight = 0"),
              StartsWith("c.toml:5:10: queues.pull.weight: expected at least 1, got 0"));
  EXPECT_THAT(error_of(queues + "order = \"strict\"\n[queues.pull]\nweight = 2"),
              StartsWith("c.toml:5:1: queues.pull.weight: needs worker.order = "
                         "\"weighted\""));
  EXPECT_THAT(error_of("role = \"producer\"\n[worker]\norder = \"strict\""),
              StartsWith("c.toml:3:1: worker.order: role = \"producer\" takes no jobs"));
  Config config;
  config.queues["x"].weight = 0;
  EXPECT_THAT(error_in(config), StartsWith("queues.x.weight: expected at least 1"));
}

TEST(Validate, QueuesThatThisWorkerDoesNotTake) {
  const std::string worker = "[worker]\nqueues = [\"pull\", \"push\"]\n";
  EXPECT_THAT(
      error_of(worker + "[queues.pul]\nconcurrency = 1"),
      StartsWith("c.toml:4:1: queues.pul.concurrency: worker.queues does not name "
                 "\"pul\"; did you mean \"pull\"?"));
  EXPECT_EQ(error_of(worker + "[queues.pull]\nconcurrency = 1"), "no error");
  EXPECT_EQ(error_of("[queues.any]\nconcurrency = 1"), "no error");
  // Its workers are others, and the limit is the whole store's.
  EXPECT_EQ(error_of(worker + "[queues.mail]\nlimit = 1"), "no error");
  EXPECT_THAT(error_of("[queues.\"\"]\nlimit = 1"),
              StartsWith("c.toml:1:9: queues.: the name of a queue is empty"));
  EXPECT_THAT(
      error_of("[queues.x]\nlimits = 1"),
      StartsWith("c.toml:2:1: queues.x.limits: there is no such key; did you mean "
                 "\"queues.x.limit\"?"));
}

TEST(Validate, Variables) {
  const std::string exec = "[jobs.x]\nisolation = \"exec\"\ncommand = [\"a\"]\n";
  EXPECT_THAT(error_of(exec + "env = { \"A=B\" = \"1\" }"),
              HasSubstr("\"A=B\" is not a possible"));
  EXPECT_THAT(error_of(exec + "pass_env = [\"\"]"), HasSubstr("not a possible name"));
  EXPECT_THAT(error_of(exec + "pass_env = [\"CARREL_JOB_ID\"]"),
              HasSubstr("\"CARREL_JOB_ID\": the names CARREL_JOB_… are given"));
  EXPECT_THAT(error_of(exec + "env = { CARREL_JOB_X = \"1\" }"),
              HasSubstr("\"CARREL_JOB_X\": the names CARREL_JOB_… are given"));
  EXPECT_THAT(error_of(exec + "cwd = \"a\\u0000b\""), HasSubstr("NUL"));
}

TEST(Validate, Names) {
  EXPECT_THAT(error_of("[jobs.\"\"]"), HasSubstr("the name of a kind is empty"));
  EXPECT_THAT(error_of("[jobs.\"a\\nb\"]"), HasSubstr("control character"));
  EXPECT_THAT(error_of("[jobs." + std::string(129, 'k') + "]"),
              HasSubstr("longer than 128"));
  EXPECT_EQ(error_of("[jobs." + std::string(128, 'k') + "]"), "no error");
  EXPECT_THAT(error_of("[defaults]\nqueue = \"\""),
              HasSubstr("defaults.queue: the name of a queue is empty"));
  EXPECT_THAT(error_of("[worker]\nqueues = [\"a\", \"\"]"), HasSubstr("is empty"));
  EXPECT_THAT(error_of("[worker]\nqueues = [\"a\", \"a\"]"),
              HasSubstr("\"a\" is listed twice"));
  EXPECT_THAT(error_of("plugins = [\"\"]"), HasSubstr("the path of a plugin is empty"));
}

TEST(Validate, Roles) {
  EXPECT_THAT(error_of("role = \"producer\"\nmode = \"inline\""),
              HasSubstr("2:1: mode: "));
  EXPECT_THAT(error_of("role = \"producer\"\n[worker]\nqueues = [\"a\"]"),
              HasSubstr("worker.queues: role = \"producer\""));
  EXPECT_THAT(error_of("role = \"producer\"\n[worker]\nprefetch = 1"),
              HasSubstr("worker.prefetch: role = \"producer\""));
}

TEST(Validate, Retry) {
  EXPECT_THAT(
      error_of("[jobs.x]\nretry = { base = \"2m\", cap = \"1m\" }"),
      StartsWith("c.toml:2:24: jobs.x.retry.cap: 1m is less than retry.base (2m)"));
  EXPECT_THAT(
      error_of("[jobs.x]\nretry = { base = \"2d\" }"),
      StartsWith("c.toml:2:11: jobs.x.retry.base: 2d is more than retry.cap (1d)"));
  EXPECT_THAT(
      error_of("[defaults.retry]\ncap = \"1h\"\n[jobs.x.retry]\nbase = \"2h\""),
      StartsWith("c.toml:4:1: jobs.x.retry.base: 2h is more than retry.cap (1h)"));
}

TEST(Validate, AKindMayTakeALimitOfTheDefaultsBack) {
  EXPECT_EQ(error_of(R"(
[defaults]
concurrency = { key = "a:{a}", limit = 2 }
rate = { key = "a:{a}", starts = 2, period = "1m" }
unique = { fields = ["args"], period = "1h" }
[jobs.x]
concurrency = { limit = 0 }
rate = { starts = 0 }
unique = { fields = [] }
)"),
            "no error");
}

TEST(Validate, WhatCodeSetsOutOfBounds) {
  const auto with = [](auto change) {
    Config config;
    change(config);
    return error_in(config);
  };
  EXPECT_THAT(with([](Config& c) { c.defaults.timeout = -1s; }),
              HasSubstr("defaults.timeout: expected at least 0s"));
  EXPECT_THAT(with([](Config& c) { c.jobs["x"].result_limit = 0; }),
              HasSubstr("jobs.x.result_limit: expected at least 1B"));
  EXPECT_THAT(with([](Config& c) { c.defaults.max_attempts = 0; }),
              HasSubstr("defaults.max_attempts: expected at least 1"));
  EXPECT_THAT(with([](Config& c) { c.retention.completed = Duration::max(); }),
              HasSubstr("retention.completed: expected at most 36500d"));
  EXPECT_THAT(with([](Config& c) {
                c.defaults.retry.power = std::numeric_limits<double>::quiet_NaN();
              }),
              HasSubstr("defaults.retry.power: expected a number"));
  EXPECT_THAT(with([](Config& c) { c.worker.beat = 0s; }),
              HasSubstr("worker.beat: expected at least 1ms"));
}

}  // namespace
}  // namespace carrel
