// Wrong usage and configuration: exit code 2, and one clear line.
#include <gmock/gmock.h>

#include <fstream>

#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Usage : public Command {
 protected:
  // The one line that says what was wrong.
  std::string refused(const std::vector<std::string>& arguments,
                      const std::string& input = {}) {
    const Said said = carrel(arguments, input);
    EXPECT_EQ(said.code, 2) << said.err;
    EXPECT_EQ(said.out, "");
    EXPECT_THAT(said.err, StartsWith("carrel: "));
    EXPECT_EQ(std::count(said.err.begin(), said.err.end(), '\n'), 1) << said.err;
    EXPECT_EQ(said.err.find("exception"), std::string::npos) << said.err;
    return said.err;
  }
};

TEST_F(Usage, HelpListsCommandsAndExitCodes) {
  const Said said = carrel({"--help"});
  EXPECT_EQ(said.code, 0);
  for (const char* part :
       {"run", "enqueue", "list", "export", "show", "retry", "cancel", "pause", "resume",
        "status", "compare", "doctor", "Exit codes:", "5  timed out"}) {
    EXPECT_THAT(said.out, HasSubstr(part));
  }
  EXPECT_EQ(said.out.find("spin"), std::string::npos);
  EXPECT_EQ(carrel({"enqueue", "--help"}).code, 0);
  EXPECT_THAT(carrel({"--version"}).out, StartsWith("carrel "));
}

TEST_F(Usage, ArgumentsThatMakeNoSense) {
  EXPECT_THAT(refused({}), HasSubstr("subcommand is required"));
  EXPECT_THAT(refused({"fly"}), HasSubstr("no command \"fly\""));
  EXPECT_THAT(refused({"lsit"}), HasSubstr("did you mean \"list\"?"));
  EXPECT_THAT(refused({"list", "--colour"}), HasSubstr("--colour"));
  EXPECT_THAT(refused({"list", "b", "a"}), HasSubstr("takes \"b\" \"a\""));
  EXPECT_THAT(refused({"enqueue"}), HasSubstr("kind"));
  for (const char* command : {"show", "cancel", "retry"}) {
    for (const std::string id : {"abc", "0", "7x", "18446744073709551615"}) {
      EXPECT_THAT(
          refused({command, id}),
          HasSubstr("id: expected the id of a job, such as 7, got \"" + id + "\""));
    }
  }
  EXPECT_THAT(refused({"list", "--state", "happy"}),
              AllOf(HasSubstr("happy"), HasSubstr("discarded")));
  EXPECT_THAT(refused({"enqueue", "k", "--delay", "5"}),
              AllOf(HasSubstr("--delay"), HasSubstr("no unit")));
  EXPECT_THAT(refused({"enqueue", "k", "--delay", "-5s"}), HasSubstr("--delay"));
  EXPECT_THAT(refused({"retry"}), HasSubstr("either ids"));
  EXPECT_THAT(refused({"retry", "1", "--kind", "k"}), HasSubstr("either ids"));
  EXPECT_THAT(refused({"retry", "--state", "running"}), HasSubstr("running"));
}

TEST_F(Usage, WhatTheSystemDoesNotOpenIsNoWrongUsage) {
  ASSERT_EQ(shell("mkdir here.db-gate").code, 0);
  const Said said = carrel({"--store", "sqlite:here.db", "enqueue", "k"});
  EXPECT_EQ(said.code, 4) << said.err;
  EXPECT_THAT(said.err, HasSubstr("here.db-gate"));
}

TEST_F(Usage, NoPasswordOfAUrlIsPrinted) {
  for (const std::string begin : {" postgresql://", "postgresql:/", "zmq+tcp://", "//"}) {
    const Said said = carrel({"--store", begin + "user:hidden@127.0.0.1:1", "list"});
    EXPECT_NE(said.code, 0) << begin;
    EXPECT_THAT(said.err, AllOf(HasSubstr("user:***@"), Not(HasSubstr("hidden"))))
        << begin;
  }
  EXPECT_THAT(refused({"--stor", "postgresql://user:hidden@h/d", "list"}),
              Not(HasSubstr("hidden")));
}

TEST_F(Usage, ArgumentsOfAJobThatAreNoJson) {
  EXPECT_THAT(refused({"enqueue", "k", "{nope}"}),
              AllOf(HasSubstr("the arguments are not JSON"), HasSubstr("{nope}")));
  const Said lines = carrel({"enqueue", "k", "--lines"}, "{}\n\n[1]\nx\n");
  EXPECT_EQ(lines.code, 2);
  EXPECT_THAT(lines.err, AllOf(HasSubstr("line 4"), HasSubstr("no job was enqueued"),
                               HasSubstr("from line 1 on")));
  EXPECT_EQ(carrel({"list", "--json"}).out, "") << "nothing may be half done";
}

TEST_F(Usage, ConfigurationsThatCannotBeRead) {
  EXPECT_THAT(refused({"--config", "absent.toml", "list"}),
              AllOf(HasSubstr("absent.toml"), HasSubstr("No such file")));
  configure("[worker]\nlease = 30\n");
  EXPECT_EQ(
      refused({"list"}),
      "carrel: carrel.toml:3:9: worker.lease: expected a duration such as \"30s\", got "
      "30\n");
  std::filesystem::remove(folder_ / "carrel.toml");
  EXPECT_THAT(refused({"list"}), AllOf(HasSubstr("no ./carrel.toml"),
                                       HasSubstr("--config"), HasSubstr("CARREL_STORE")));
}

TEST_F(Usage, AFileThatHoldsOnlyWithItsVariablesIsTaken) {
  configure("[worker]\nbeat = \"20s\"\n");
  EXPECT_THAT(refused({"list"}),
              HasSubstr("carrel.toml:3:1: worker.beat: must be at most half of "
                        "worker.lease: a lease of 30s"));
  const Said said = shell("CARREL_WORKER_LEASE=2m carrel enqueue k");
  EXPECT_EQ(said.code, 0) << said.err;
}

TEST_F(Usage, StoresThatCannotBe) {
  EXPECT_THAT(refused({"--store", "memory:", "list"}),
              AllOf(HasSubstr("--store: store: \"memory:\""), HasSubstr("one process")));
  EXPECT_THAT(refused({"--store", "jobs.db", "list"}), HasSubstr("sqlite:jobs.db"));
  EXPECT_THAT(refused({"--store", "sqlit:jobs.db", "list"}), HasSubstr("did you mean"));
}

TEST_F(Usage, AStoreThatCannotBeOpenedIsNotTheUsersMistake) {
  std::ofstream(folder_ / "text.db") << std::string(4096, 'x');
  const Said said = carrel({"--store", "sqlite:text.db", "list"});
  EXPECT_EQ(said.code, 4) << said.err;
  EXPECT_THAT(said.err, HasSubstr("text.db"));
  for (const char* command : {"list", "status", "export"}) {
    const Said mistyped = carrel({"--store", "sqlite:typo.db", command});
    EXPECT_EQ(mistyped.code, 4) << mistyped.err;
    EXPECT_THAT(mistyped.err, AllOf(HasSubstr("typo.db"), HasSubstr("no such file")));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "typo.db")) << "looking made a database";
  std::ofstream(folder_ / "theirs.db").close();  // no tables, as SQLite sees it
  for (const std::vector<std::string> command :
       {std::vector<std::string>{"list"}, {"status"}, {"export"}, {"cancel", "1"}}) {
    std::vector<std::string> words{"--store", "sqlite:theirs.db"};
    words.insert(words.end(), command.begin(), command.end());
    const Said others = carrel(words);
    EXPECT_EQ(others.code, 4) << others.err;
    EXPECT_THAT(others.err, AllOf(HasSubstr("theirs.db"), HasSubstr("carrel migrate")));
  }
  EXPECT_EQ(std::filesystem::file_size(folder_ / "theirs.db"), 0U);
  const Said nowhere = carrel({"--store", "sqlite:no/such/place.db", "list"});
  EXPECT_EQ(nowhere.code, 4) << nowhere.err;
  EXPECT_THAT(nowhere.err, HasSubstr("there is no directory"));
}

TEST_F(Usage, TheStoreOfTheCommandLineIsRelativeToWhereOneStands) {
  ASSERT_EQ(carrel({"--store", "sqlite:here.db", "enqueue", "k"}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "here.db"));
  std::filesystem::create_directory(folder_ / "elsewhere");
  std::ofstream(folder_ / "elsewhere" / "carrel.toml").close();
  const Said said =
      carrel({"--config", "elsewhere/carrel.toml", "compare", "--on", "sqlite:on.db",
              "--isolation", "thread", "--jobs", "1", "--concurrency", "1"});
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "on.db"));
}

#ifdef WITH_ZMQ
// No key is there: the message says where it was looked for.
TEST_F(Usage, AKeyFileIsRelativeToTheConfigurationAsItsDatabaseIs) {
  const std::string key(64, 'a');
  const std::string broker = "zmq+tcp://127.0.0.1:9?server_key=" + key + "&secret_file=";
  const auto home = folder_ / "50% & more";
  std::filesystem::create_directory(home);
  std::ofstream(home / "there.toml")
      << "store = \"" << broker << "mine%20own.key&timeout=1s\"\n";
  const Said there = carrel({"--config", (home / "there.toml").string(), "status"});
  EXPECT_EQ(there.code, 2) << there.err;
  EXPECT_THAT(there.err, HasSubstr((home / "mine own.key").string() + ":"));

  std::ofstream(home / "whole.toml") << "store = \"" << broker << "/no/such.key\"\n";
  const Said whole = carrel({"--config", (home / "whole.toml").string(), "status"});
  EXPECT_THAT(whole.err, HasSubstr(" /no/such.key:"));

  const Said typed = carrel({"--config", (home / "there.toml").string(), "--store",
                             broker + "typed.key", "status"});
  EXPECT_THAT(typed.err, HasSubstr((folder_ / "typed.key").string() + ":"));
}

// libzmq says nothing of a path at which it cannot connect.
TEST_F(Usage, WhyASocketCannotBeReachedIsSaid) {
  const auto path = folder_ / "broker.sock";
  const std::string store = "zmq+ipc://" + path.string() + "?timeout=100ms";
  const Said missing = carrel({"--store", store, "status"});
  EXPECT_EQ(missing.code, 4) << missing.err;
  EXPECT_THAT(missing.err, HasSubstr("broker.sock: No such file or directory"));
}
#endif

TEST_F(Usage, AFileMayBeCalledAsAPartOfItsScheme) {
  std::ofstream(folder_ / "carrel.toml") << "store = \"sqlite:lite\"\n";
  ASSERT_EQ(carrel({"enqueue", "k"}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "lite"));
}

TEST_F(Usage, APluginThatCannotBeLoadedIsTheConfigurations) {
  for (const char* plugin : {"nope.so", "."}) {
    std::ofstream(folder_ / "carrel.toml")
        << "store = \"sqlite:jobs.db\"\nplugins = [\"" << plugin << "\"]\n";
    EXPECT_EQ(carrel({"list"}).code, 2) << plugin;
    EXPECT_EQ(carrel({"migrate"}).code, 2) << plugin;
  }
}

TEST_F(Usage, AnEmptyVariableNamesNoConfiguration) {
  const Said said = shell("CARREL_CONFIG= carrel doctor --json");
  ASSERT_EQ(said.json().size(), 1U) << said.err;
  for (const Json& finding : said.json()[0]["findings"]) {
    if (finding["about"] == "configuration") {
      EXPECT_EQ(finding["name"], "carrel.toml");
    }
  }
}

TEST_F(Usage, StrictKindsRefusesWhatTheConfigurationDoesNotName) {
  configure("strict_kinds = true\n[jobs.known]\n");
  EXPECT_EQ(carrel({"enqueue", "known"}).code, 0);
  EXPECT_THAT(refused({"enqueue", "knwon"}),
              AllOf(HasSubstr("\"knwon\""), HasSubstr("strict_kinds")));
  EXPECT_EQ(carrel({"list", "--json"}).json().size(), 1U);
}

TEST_F(Usage, RunNeedsAProgram) {
  EXPECT_THAT(refused({"run"}), HasSubstr("no program to run"));
  configure(
      "role = \"producer\"\n[jobs.a]\nisolation = \"exec\"\ncommand = [\"true\"]\n");
  EXPECT_THAT(refused({"run"}),
              HasSubstr("carrel.toml:2:1: role: a producer runs no jobs"));
}

}  // namespace
}  // namespace carrel::cli_test
