#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config_check.h"

namespace carrel {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

Registry registry() {
  Registry all;
  for (const char* name : {"thread", "mutex", "fork"}) all.add_isolation(name, {});
  for (const char* name : {"exec", "jail"}) {
    IsolationEntry entry;
    entry.runs_programs = true;
    all.add_isolation(name, entry);
  }
  return all;
}

std::string refusal_of(std::string_view toml) {
  const auto config = Config::parse(toml, "c.toml");
  if (!config) return "parse: " + config.error().message;
  const auto ok = check_against(*config, registry());
  return ok ? "no error" : ok.error().message;
}

TEST(Check, AnUnknownIsolationNamesThePlaceTheKindAndTheKnown) {
  EXPECT_THAT(refusal_of("[jobs.a]\nisolation = \"treads\""),
              AllOf(StartsWith("c.toml:2:1: jobs.a.isolation: "), HasSubstr("\"treads\""),
                    HasSubstr("exec, fork, jail, mutex, thread"),
                    HasSubstr("did you mean \"thread\"?")));
  EXPECT_THAT(refusal_of("[defaults]\nisolation = \"cell\""),
              StartsWith("c.toml:2:1: defaults.isolation: "));
}

TEST(Check, ProgramsNeedACommandAndHandlersHaveNone) {
  EXPECT_THAT(refusal_of("[jobs.a]\nisolation = \"jail\""),
              AllOf(StartsWith("c.toml:1:7: jobs.a: "), HasSubstr("needs a command")));
  EXPECT_EQ(refusal_of("[jobs.a]\nisolation = \"jail\"\ncommand = [\"x\"]"), "no error");
  EXPECT_EQ(refusal_of("[defaults]\nisolation = \"jail\""), "no error");
  Config config;
  config.jobs["a"].command = {"x"};
  const auto ok = check_against(config, registry());
  ASSERT_FALSE(ok);
  EXPECT_THAT(ok.error().message,
              AllOf(StartsWith("jobs.a.command: "), HasSubstr("leave the command out")));
}

TEST(Check, WhatTheDefaultsSaidIsNamedThere) {
  EXPECT_THAT(refusal_of("[jobs.a]\n[defaults]\nisolation = \"cell\""),
              StartsWith("c.toml:3:1: defaults.isolation: "));
}

}  // namespace
}  // namespace carrel
