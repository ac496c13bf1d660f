// [sandbox.NAME]: what is read, what is refused and where.
#include <carrel/config.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Sandbox, ATierIsAProfileOfThatName) {
  const Config config;
  EXPECT_EQ(config.sandbox("standard")->tier, SandboxTier::kStandard);
  EXPECT_EQ(config.sandbox("full")->tier, SandboxTier::kFull);
  EXPECT_EQ(config.sandbox("none")->tier, SandboxTier::kNone);
  EXPECT_FALSE(config.sandbox("students"));
}

TEST(Sandbox, ATableIsStandardUnlessItSaysOrIsNamedOtherwise) {
  const auto config = Config::parse(R"(
    [sandbox.students]
    cpu_time = "5s"
    memory = 0
    address_space = "512MiB"
    mounts = [{ src = "tests", dst = "/tests" }, { src = "/srv/out", ro = false }]
    files_out = ["a/report.json"]
    [sandbox.restricted]
    nproc = 3
    [jobs.grade]
    isolation = "exec"
    command = ["x"]
    sandbox = "students"
  )",
                                    "c.toml");
  ASSERT_TRUE(config) << config.error().message;
  const auto students = config->sandbox("students");
  ASSERT_TRUE(students);
  EXPECT_EQ(students->tier, SandboxTier::kStandard);
  EXPECT_EQ(students->cpu_time, 5s);
  EXPECT_EQ(students->address_space, 512U << 20);
  ASSERT_EQ(students->mounts.size(), 2U);
  EXPECT_EQ(students->mounts[0], (SandboxMount{"tests", "/tests", true}));
  EXPECT_EQ(students->mounts[1], (SandboxMount{"/srv/out", "", false}));
  EXPECT_EQ(config->sandbox("restricted")->tier, SandboxTier::kRestricted);
  EXPECT_EQ(config->sandbox("restricted")->nproc, 3U);
  EXPECT_EQ(config->kind("grade").sandbox, "students");
}

TEST(Sandbox, RefusesWhatCannotBe) {
  const std::string job = "[jobs.x]\nisolation = \"exec\"\ncommand = [\"a\"]\n";
  EXPECT_THAT(
      error_of(job + "sandbox = \"standrad\""),
      StartsWith("c.toml:4:1: jobs.x.sandbox: there is no [sandbox.standrad]; did "
                 "you mean \"standard\"?"));
  EXPECT_THAT(error_of("[jobs.x]\nsandbox = \"standard\""),
              HasSubstr("jobs.x.sandbox: is for programs"));
  EXPECT_THAT(error_of("[sandbox.s]\nmemory = \"1MiB\""),
              HasSubstr("sandbox.s.memory: needs tier = \"full\""));
  for (const std::string key : {"tmpfs_size = \"64MiB\"", "tmpfs_files = 9"}) {
    EXPECT_THAT(error_of("[sandbox.s]\ntier = \"restricted\"\n" + key),
                HasSubstr("needs tier = \"standard\"; a restricted program's folder"));
  }
  EXPECT_THAT(error_of("[sandbox.s]\ntier = \"restricted\"\nlandlock = false"),
              HasSubstr("sandbox.s.landlock: tier = \"restricted\" has nothing else"));
  EXPECT_THAT(error_of("[sandbox.s]\ntier = \"restricted\"\nseccomp = \"off\""),
              HasSubstr("sandbox.s.seccomp: tier = \"restricted\" has nothing else"));
  EXPECT_THAT(error_of("[sandbox.s]\ntire = \"full\""),
              HasSubstr("did you mean \"sandbox.s.tier\"?"));
  EXPECT_THAT(error_of("[sandbox.s]\ntier = \"fool\""), HasSubstr("\"full\""));
  EXPECT_THAT(error_of("[sandbox.s]\nallow_missing = [\"seccomp\"]"),
              HasSubstr("\"seccomp\" is nothing that may be missing"));
  EXPECT_THAT(error_of("[sandbox.s]\nuser = 0"), HasSubstr("sandbox.s.user: expected"));
  EXPECT_THAT(error_of("[sandbox.s]\nfiles_out = [\"../x\"]"),
              HasSubstr("\"../x\" is no file of its folder"));
}

TEST(Sandbox, RefusesLimitsUnderWhichNothingStarts) {
  const auto with = [](const std::string& line) {
    return error_of("[sandbox.s]\n" + line);
  };
  EXPECT_THAT(with("open_files = 3"), HasSubstr("at least 8, or 0 for no limit"));
  EXPECT_THAT(with("address_space = \"64KiB\""), HasSubstr("at least 4MiB"));
  EXPECT_THAT(with("stack = 1"), HasSubstr("at least 64KiB"));
  EXPECT_EQ(with("open_files = 0\naddress_space = 0\nstack = 0"), "no error");
  EXPECT_EQ(with("open_files = 8\naddress_space = \"4MiB\"\nstack = \"64KiB\""),
            "no error");
}

TEST(Sandbox, RefusesMountsThatCannotBe) {
  const auto mounts = [](const std::string& table) {
    return error_of("[sandbox.s]\nmounts = [" + table + "]");
  };
  EXPECT_THAT(mounts("{ dst = \"/a\" }"), HasSubstr("expected an array of tables"));
  EXPECT_THAT(mounts("{ src = \"/a\", mode = \"ro\" }"), HasSubstr("expected an array"));
  EXPECT_THAT(mounts("{ src = \"a\" }"), HasSubstr("is relative, and there is no dst"));
  EXPECT_THAT(mounts("{ src = \"/a\", dst = \"/\" }"), HasSubstr("must appear at"));
  EXPECT_THAT(mounts("{ src = \"/a\", dst = \"/b/../c\" }"), HasSubstr("must appear at"));
  EXPECT_THAT(mounts("{ src = \"/a\", dst = \"/tmp/a\" }"), HasSubstr("in /tmp"));
  EXPECT_EQ(mounts("{ src = \"/a\", dst = \"/temporary\" }"), "no error");
  EXPECT_THAT(mounts("{ src = \"/a\", dst = \"/etc\", ro = false }"),
              HasSubstr("cannot be written at /etc"));
  EXPECT_EQ(mounts("{ src = \"/etc\" }"), "no error");
}

}  // namespace
}  // namespace carrel
