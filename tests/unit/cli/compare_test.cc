// compare: a kind as the configuration has it, in whatever it runs.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <set>

#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::HasSubstr;

class Compare : public Command {
 protected:
  std::vector<std::string> few(std::vector<std::string> more) {
    more.insert(more.begin(), {"--config", "carrel.toml", "compare", "--json", "--jobs",
                               "3", "--concurrency", "1"});
    return more;
  }
};

TEST_F(Compare, RunsEveryCombination) {
  const Said said = carrel(
      {"compare", "--jobs", "20", "--work", "100us", "--concurrency", "2", "--json"});
  ASSERT_EQ(said.code, 0) << said.err;
  std::set<std::string> seen;
  for (const Json& row : said.json()) {
    EXPECT_EQ(row["jobs"], 20);
    EXPECT_EQ(row["failed"], 0);
    EXPECT_GT(row["jobs_per_s"], 0);
    seen.insert(row["isolation"].get<std::string>() + " " +
                row["store"].get<std::string>());
  }
  EXPECT_EQ(seen.size(), 8u) << said.out;
}

TEST_F(Compare, RunsAProgramOfTheConfiguration) {
  configure("[jobs.a]\nisolation = \"exec\"\ncommand = [\"/bin/false\"]\n");
  const Said said = carrel({"compare", "--kind", "a", "--jobs", "3", "--on",
                            "memory:", "--concurrency", "1", "--json"});
  EXPECT_EQ(said.code, 1) << "its jobs fail";
  ASSERT_EQ(said.json().size(), 1u) << said.err;
  EXPECT_EQ(said.json()[0]["failed"], 3);
  EXPECT_EQ(carrel({"compare", "--kind", "zzz"}).code, 2);
  const Said thread = carrel({"compare", "--kind", "a", "--isolation", "thread"});
  EXPECT_EQ(thread.code, 2);
  EXPECT_THAT(thread.err, HasSubstr("runs none"));
}

TEST_F(Compare, JobsThatAreTheSameOrShareAKeyRunAll) {
  configure(R"(
[jobs.k]
isolation = "exec"
command = ["true"]
unique = { fields = ["kind"] }
rate = { key = "{user}", starts = 1, period = "1h" }
concurrency = { key = "{course}", limit = 1 }
)");
  const Said said = carrel(few({"--kind", "k", "--on", "memory:"}));
  EXPECT_EQ(said.code, 0) << said.err;
  ASSERT_EQ(said.json().size(), 1U);
  EXPECT_EQ(said.json()[0]["jobs"], 3);
  EXPECT_EQ(said.json()[0]["failed"], 0);
}

TEST_F(Compare, AWorkerOfTheSameKindTakesNothingFromIt) {
  configure(R"(
[worker]
poll = "10ms"
[jobs.k]
isolation = "exec"
command = ["true"]
)");
  Running worker({"run"}, folder_, "");
  const Said mine = carrel({"enqueue", "k", "--wait"});
  EXPECT_EQ(mine.code, 0) << "the worker is there: " << mine.err;
  const Said said = shell(
      "timeout 20 carrel --config carrel.toml compare --json --jobs 100 --kind k "
      "--concurrency 1 --on sqlite:jobs.db");
  EXPECT_EQ(said.code, 0) << said.err;
  ASSERT_EQ(said.json().size(), 1U) << said.err;
  EXPECT_EQ(said.json()[0]["jobs"], 100);
}

TEST_F(Compare, AKindKeepsItsSandbox) {
  configure(R"(
[jobs.k]
isolation = "exec"
command = ["true"]
sandbox = "students"
[sandbox.students]
tier = "restricted"
)");
  const Said said = carrel(few({"--kind", "k", "--on", "memory:"}));
  EXPECT_EQ(said.err.find("there is no [sandbox.students]"), std::string::npos)
      << said.err;
}

TEST_F(Compare, WhatMakesNoSenseIsSaidBeforeTheFirstRun) {
  for (const auto& [arguments, why] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--args", "{}"}, "--kind"},
           {{"--store", "sqlite:x.db"}, "--on"},
           {{"--on", "memory:,nope:"}, "nope"},
           {{"--isolation", "thread,frok"}, "frok"}}) {
    const Said said = carrel(few(arguments));
    EXPECT_EQ(said.code, 2) << why;
    EXPECT_EQ(said.out, "") << why;
    EXPECT_THAT(said.err, HasSubstr(why));
  }
}

TEST_F(Compare, ASignalEndsItAndLeavesNothingBehind) {
  std::filesystem::create_directory(folder_ / "scratch");
  // The first combination is through; the second waits in a store that is shared.
  Running comparing({"-c",
                     "TMPDIR=$PWD/scratch exec carrel compare --json --isolation thread "
                     "--concurrency 1 --jobs 1 --work 1ms --on sqlite:,sqlite:shared.db"},
                    folder_, "", "/bin/sh");
  const Said quick = comparing.finish();
  EXPECT_EQ(quick.code, 0) << quick.err;

  Running slow({"-c",
                "TMPDIR=$PWD/scratch exec carrel compare --isolation exec "
                "--concurrency 1 --jobs 2000 --work 20ms --on sqlite:shared.db"},
               folder_, "", "/bin/sh");
  while (carrel({"list", "--store", "sqlite:shared.db", "--state", "running"}).out ==
         "") {
  }
  slow.signal(SIGTERM);
  const Said said = slow.finish();
  EXPECT_EQ(said.code, 6) << said.err;
  EXPECT_THAT(said.err, HasSubstr("interrupted"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "scratch"));
  EXPECT_EQ(carrel({"list", "--store", "sqlite:shared.db"}).out, "");
}

}  // namespace
}  // namespace carrel::cli_test
