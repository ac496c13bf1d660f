// enqueue, list, show, cancel, pause, resume, status
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "../sql/sqlite_files.h"
#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Jobs = Command;

TEST_F(Jobs, EnqueuePrintsTheIdAndShowFindsIt) {
  const Said said =
      carrel({"enqueue", "thumbnail", R"({"path":"a.png"})", "--queue", "images",
              "--priority", "-3", "--max-attempts", "7", "--timeout", "90s"});
  ASSERT_EQ(said.code, 0) << said.err;
  ASSERT_EQ(said.lines().size(), 1u);
  const Json job = show(said.lines()[0]);
  EXPECT_EQ(job["kind"], "thumbnail");
  EXPECT_EQ(job["state"], "available");
  EXPECT_EQ(job["queue"], "images");
  EXPECT_EQ(job["args"], (Json{{"path", "a.png"}}));
  EXPECT_EQ(job["priority"], -3);
  EXPECT_EQ(job["max_attempts"], 7);
  EXPECT_EQ(job["timeout_s"], 90.0);

  const Said people = carrel({"show", said.lines()[0]});
  EXPECT_THAT(people.out, AllOf(HasSubstr("thumbnail"), HasSubstr("images"),
                                HasSubstr("\"path\": \"a.png\"")));
}

TEST_F(Jobs, EnqueueReadsStandardInput) {
  EXPECT_EQ(carrel({"enqueue", "k", "-"}, R"({"n": 5})").code, 0);
  const Said said = carrel({"enqueue", "k", "--lines", "--json"}, "1\n\n\"two\"\n[3]");
  ASSERT_EQ(said.code, 0) << said.err;
  ASSERT_EQ(said.json().size(), 3u);
  EXPECT_EQ(show("1")["args"], (Json{{"n", 5}}));
  EXPECT_EQ(show(said.json()[1]["id"].dump())["args"], "two");
}

TEST_F(Jobs, TheSameRequestIsTheSameJob) {
  const Said first = carrel({"enqueue", "k", "--request-id", "r1"});
  const Said second = carrel({"enqueue", "k", "--request-id", "r1"});
  EXPECT_EQ(first.out, second.out);
  EXPECT_EQ(carrel({"list", "--json"}).json().size(), 1u);
}

TEST_F(Jobs, AJobThatDidNotStartInTimeSaysSo) {
  configure("[jobs.k]\nisolation = \"exec\"\ncommand = [\"true\"]\n");
  ASSERT_EQ(
      carrel({"enqueue", "k", "--request-id", "r", "--start-within", "0.01ms"}).code, 0);
  ASSERT_EQ(carrel({"run", "--drain"}).code, 0);
  const std::string why = "it did not start within its time (start_within)";
  EXPECT_THAT(carrel({"list", "--state", "discarded"}).out, HasSubstr(why));
  EXPECT_THAT(carrel({"show", "1"}).out, HasSubstr(why));
  EXPECT_THAT(carrel({"show", "1", "--result"}).err, HasSubstr(why));
  const Said waited = carrel({"enqueue", "k", "--request-id", "r", "--wait"});
  EXPECT_EQ(waited.code, 1);
  EXPECT_THAT(waited.err, HasSubstr("carrel: job 1 was discarded: " + why));
}

TEST_F(Jobs, MigrateOfWhatHasNoTables) {
  const Said said = carrel({"--store", "memory:", "migrate", "--json"});
  EXPECT_EQ(said.code, 0);
  ASSERT_EQ(said.lines().size(), 1u) << said.out;
  EXPECT_EQ(said.json()[0],
            (Json{{"from", nullptr}, {"to", nullptr}, {"applied", false}}));
}

TEST_F(Jobs, MigrateSaysWhatAFileNeedsAndDoesIt) {
  const auto change = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"migrate", "--json"});
    const Said said = carrel(options);
    EXPECT_EQ(said.code, 0) << said.err;
    return said.json().at(0);
  };
  const Json dry = change({"--dry-run"});
  EXPECT_EQ(dry["from"], 0);
  EXPECT_GT(dry["to"], 0);
  EXPECT_EQ(dry["applied"], false);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "jobs.db")) << "looking made a database";
  EXPECT_EQ(change({})["applied"], true);
  EXPECT_EQ(change({"--dry-run"})["from"], dry["to"]);
  EXPECT_THAT(carrel({"migrate"}).out, HasSubstr("nothing to do"));
  EXPECT_EQ(carrel({"enqueue", "a"}).code, 0);
}

// By what the command says that it does.
TEST_F(Jobs, MigratePrintsTheSql) {
  const Said script = carrel({"migrate", "--sql"});
  EXPECT_EQ(script.code, 0) << script.err;
  std::ofstream(folder_ / "jobs.db").close();
  test::run_sql(folder_ / "jobs.db", script.out);
  EXPECT_EQ(carrel({"migrate", "--dry-run", "--json"}).json().at(0)["from"],
            carrel({"migrate", "--json"}).json().at(0)["to"]);
  EXPECT_EQ(carrel({"enqueue", "a"}).code, 0);
}

// One exit code for it, whichever command meets it: the store cannot be used.
TEST_F(Jobs, ANewerSchemaIsRefusedByEveryCommand) {
  configure("[jobs.a]\nisolation = \"exec\"\ncommand = [\"true\"]\n");
  ASSERT_EQ(carrel({"enqueue", "a"}).code, 0);
  test::run_sql(folder_ / "jobs.db", "INSERT INTO carrel_schema VALUES (4711, 0, NULL)");
  const std::vector<std::vector<std::string>> commands = {
      {"enqueue", "a"},     {"list"},
      {"show", "1"},        {"status"},
      {"export"},           {"cancel", "1"},
      {"run", "--drain"},   {"pause", "default"},
      {"migrate"},          {"migrate", "--dry-run"},
      {"migrate", "--sql"}, {"doctor"}};
  for (const auto& command : commands) {
    const Said said = carrel(command);
    EXPECT_EQ(said.code, 4) << command.front() << ": " << said.err;
    EXPECT_THAT(said.out + said.err,
                AllOf(HasSubstr("jobs.db"), HasSubstr("version 4711"),
                      HasSubstr("use a newer carrel")))
        << command.front();
  }
}

TEST_F(Jobs, ListFiltersAndPages) {
  carrel({"enqueue", "a", "--lines"}, "1\n2\n3\n");
  carrel({"enqueue", "b", "--queue", "q", "--delay", "1h"});
  const auto ids = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"list", "--json"});
    const Said said = carrel(arguments);
    EXPECT_EQ(said.code, 0) << said.err;
    std::vector<int> all;
    for (const Json& job : said.json()) all.push_back(job["id"]);
    return all;
  };
  EXPECT_THAT(ids({}), ElementsAre(4, 3, 2, 1));
  EXPECT_THAT(ids({"--kind", "a"}), ElementsAre(3, 2, 1));
  EXPECT_THAT(ids({"--queue", "q"}), ElementsAre(4));
  EXPECT_THAT(ids({"--state", "scheduled,running"}), ElementsAre(4));
  EXPECT_THAT(ids({"--limit", "2"}), ElementsAre(4, 3));
  EXPECT_THAT(ids({"--limit", "2", "--before", "3"}), ElementsAre(2, 1));
  EXPECT_THAT(ids({"--older-than", "1h"}), ElementsAre());

  const Said people = carrel({"list"});
  EXPECT_EQ(people.lines().size(), 5u);
  EXPECT_THAT(people.lines()[0], HasSubstr("STATE"));
  EXPECT_THAT(people.lines()[1], AllOf(HasSubstr("scheduled"), HasSubstr("due ")));
  const Said none = carrel({"list", "--kind", "zzz"});
  EXPECT_EQ(none.code, 0);
  EXPECT_EQ(none.out, "");
}

// More than a page, and jobs of very different sizes, so that pages change theirs.
TEST_F(Jobs, ExportPrintsEveryJobOnce) {
  std::string lines;
  std::string large;
  for (int n = 0; n < 700; ++n) lines += std::to_string(n) + "\n";
  for (int n = 0; n < 5; ++n) large += "\"" + std::string(1 << 20, 'x') + "\"\n";
  ASSERT_EQ(carrel({"enqueue", "a", "--lines"}, lines).code, 0);
  ASSERT_EQ(carrel({"enqueue", "b", "--queue", "q", "--lines"}, large).code, 0);
  ASSERT_EQ(carrel({"enqueue", "a", "--lines"}, lines).code, 0);
  const auto ids = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "export");
    const Said said = carrel(arguments);
    EXPECT_EQ(said.code, 0) << said.err;
    std::vector<int> all;
    for (const Json& job : said.json()) all.push_back(job["id"]);
    return all;
  };
  const std::vector<int> all = ids({});
  ASSERT_EQ(all.size(), 1405u);
  for (int n = 0; n < 1405; ++n) ASSERT_EQ(all[n], 1405 - n);
  EXPECT_THAT(ids({"--kind", "b"}), ElementsAre(705, 704, 703, 702, 701));
  EXPECT_THAT(ids({"--queue", "q", "--before", "703"}), ElementsAre(702, 701));
  EXPECT_THAT(ids({"--state", "completed"}), ElementsAre());
  EXPECT_EQ(carrel({"export", "--before", "2"}).out,
            carrel({"list", "--json", "--before", "2"}).out);
}

TEST_F(Jobs, AJobThatIsNotThereIsCodeThree) {
  ASSERT_EQ(carrel({"enqueue", "k"}).code, 0);
  for (const std::string command : {"show", "cancel", "retry"}) {
    const Said said = carrel({command, "99"});
    EXPECT_EQ(said.code, 3) << command;
    EXPECT_THAT(said.err, HasSubstr("99")) << command;
  }
}

// Whoever mends its input and repeats it enqueues none twice.
TEST_F(Jobs, LinesThatAreRefusedAreNamedAndTheOthersPrinted) {
  const std::string large = "\"" + std::string(65 << 20, 'x') + "\"";
  const Said said = carrel({"enqueue", "k", "--lines"}, "1\n\n" + large + "\n3\n");
  EXPECT_EQ(said.code, 2);
  EXPECT_EQ(said.out, "1\n2\n");
  EXPECT_THAT(said.err,
              AllOf(HasSubstr("line 3: "), HasSubstr("2 of 3 jobs were enqueued")));
  EXPECT_EQ(show("2")["args"], 3);
}

TEST_F(Jobs, WhatNestsTooDeepIsRefused) {
  const std::string deep(100'000, '[');
  const Said said = carrel({"enqueue", "k", "-"}, deep + std::string(deep.size(), ']'));
  EXPECT_EQ(said.code, 2);
  EXPECT_THAT(said.err, HasSubstr("nest deeper than 512"));
}

TEST_F(Jobs, CancelEndsWhatHasNotStarted) {
  carrel({"enqueue", "k"});
  const Said said = carrel({"cancel", "1", "--json"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(said.json()[0], (Json{{"id", 1}, {"cancel", "cancelled"}}));
  EXPECT_EQ(show("1")["state"], "cancelled");
  EXPECT_EQ(carrel({"cancel", "1", "--json"}).json()[0]["cancel"], "already_final");
  EXPECT_EQ(carrel({"enqueue", "k", "--request-id", "x"}).code, 0);
  EXPECT_EQ(carrel({"cancel", "2", "99"}).code, 3) << "one of two is not there";
  EXPECT_EQ(show("2")["state"], "cancelled");
}

TEST_F(Jobs, StatusCountsByQueueAndShowsPauses) {
  carrel({"enqueue", "k", "--lines"}, "1\n2\n");
  carrel({"enqueue", "k", "--queue", "q", "--delay", "1h"});
  EXPECT_EQ(carrel({"pause", "q"}).code, 0);
  const Json status = carrel({"status", "--json"}).json()[0];
  EXPECT_EQ(status["jobs"]["available"], 2);
  EXPECT_EQ(status["queues"]["q"]["scheduled"], 1);
  EXPECT_EQ(status["paused"], Json({"q"}));
  EXPECT_EQ(status["unhandled_kinds"], nullptr);
  EXPECT_THAT(carrel({"status"}).out, AllOf(HasSubstr("AVAILABLE"), HasSubstr("paused")));
  EXPECT_EQ(carrel({"resume", "q", "--json"}).json()[0],
            (Json{{"queue", "q"}, {"paused", false}}));
  EXPECT_EQ(carrel({"status", "--json"}).json()[0]["paused"], Json::array());
}

TEST_F(Jobs, StatusShowsTheBoundsOfQueues) {
  configure(
      "[worker]\norder = \"weighted\"\nqueues = [\"narrow\", \"heavy\"]\n"
      "[queues.narrow]\nconcurrency = 2\nlimit = 3\n[queues.heavy]\nweight = 5\n");
  carrel({"enqueue", "k", "--queue", "narrow"});
  const Json status = carrel({"status", "--json"}).json()[0];
  EXPECT_EQ(status["queue_bounds"]["narrow"],
            (Json{{"weight", 1}, {"concurrency", 2}, {"limit", 3}, {"running", 0}}));
  EXPECT_EQ(
      status["queue_bounds"]["heavy"],
      (Json{
          {"weight", 5}, {"concurrency", nullptr}, {"limit", nullptr}, {"running", 0}}));
  EXPECT_THAT(carrel({"status"}).out,
              AllOf(HasSubstr("LIMIT"), HasSubstr("0 of 3"), HasSubstr("heavy")));
}

TEST_F(Jobs, StatusSaysWhatTheStoreTakes) {
  carrel({"enqueue", "k"});
  const Json footprint = carrel({"status", "--json"}).json()[0]["footprint"];
  EXPECT_GT(footprint["jobs_bytes"], 4096);
  EXPECT_TRUE(footprint["free_bytes"].is_number());
  EXPECT_TRUE(footprint["dead_rows"].is_null()) << "SQLite has none";
  EXPECT_THAT(carrel({"status"}).out, HasSubstr("What claims read takes"));
}

TEST_F(Jobs, ReindexGivesBackWhatIsFree) {
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += "\"" + std::string(5'000, 'x') + "\"\n";
  const Said ids = carrel({"enqueue", "k", "--lines"}, lines);
  ASSERT_EQ(ids.code, 0) << ids.err;
  configure("[retention]\ncancelled = \"0s\"\n");
  std::vector<std::string> cancel = ids.lines();
  cancel.insert(cancel.begin(), "cancel");
  ASSERT_EQ(carrel(cancel).code, 0);
  const Said said = carrel({"reindex", "--json"});
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_LT(said.json()[0]["bytes_after"], said.json()[0]["bytes_before"]);
  EXPECT_LT(said.json()[0]["bytes_after"], 500'000);
  EXPECT_EQ(carrel({"enqueue", "k"}).code, 0);
  EXPECT_EQ(carrel({"list", "--json"}).json().size(), 1u);
  const Said none = carrel({"reindex", "--store", "sqlite:none.db"});
  EXPECT_EQ(none.code, 4) << "no job is looked for";
  EXPECT_FALSE(std::filesystem::exists(folder_ / "none.db"));
  EXPECT_THAT(none.err, HasSubstr("none.db"));
  std::ofstream(folder_ / "others.db").close();
  const Said others = carrel({"reindex", "--store", "sqlite:others.db"});
  EXPECT_EQ(others.code, 2);
  EXPECT_THAT(others.err, HasSubstr("no tables of jobs"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "others.db-gate"));
  EXPECT_EQ(std::filesystem::file_size(folder_ / "others.db"), 0U);
}

TEST_F(Jobs, AFileThatHasNoFolderIsNoJobThatIsNotFound) {
  for (const char* command : {"migrate", "reindex", "list"}) {
    EXPECT_EQ(carrel({command, "--store", "sqlite:nowhere/jobs.db"}).code, 4) << command;
  }
}

TEST_F(Jobs, AStoreOfOneProcessHasNothingToRebuild) {
  EXPECT_EQ(carrel({"reindex", "--store", "memory:"}).err,
            "carrel: \"memory:\" has nothing to rebuild here\n");
  EXPECT_THAT(carrel({"migrate", "--store", "memory:"}).err,
              HasSubstr("\"memory:\" has no tables to bring forward"));
}

TEST_F(Jobs, AQueueThatNobodyKnowsIsNamed) {
  const Said typo = carrel({"pause", "defalt"});
  EXPECT_EQ(typo.code, 0);
  EXPECT_THAT(typo.err, AllOf(HasSubstr("no job is in a queue \"defalt\""),
                              HasSubstr("did you mean \"default\"?")));
  EXPECT_EQ(carrel({"pause", "default"}).err, "");
  carrel({"enqueue", "k", "--queue", "q"});
  EXPECT_EQ(carrel({"pause", "q"}).err, "");
  configure("[worker]\nqueues = [\"mine\"]\n");
  EXPECT_EQ(carrel({"resume", "mine"}).err, "");
}

TEST_F(Jobs, IdsOfJobsThatWereNotWaitedForAreTold) {
  const Said said =
      carrel({"enqueue", "k", "--lines", "--wait-at-most", "10ms"}, "1\n2\n");
  EXPECT_EQ(said.code, 5);
  EXPECT_THAT(said.err, HasSubstr("carrel: not waited for any longer: 1, 2\n"));
  const Said json =
      carrel({"enqueue", "k", "--lines", "--wait-at-most", "10ms", "--json"}, "3\n4\n");
  EXPECT_EQ(json.code, 5);
  ASSERT_EQ(json.json().size(), 2U);
  EXPECT_EQ(json.json()[1], (Json{{"id", 4}, {"existed", false}, {"replaced", false}}));
}

TEST_F(Jobs, WaitingForWhatNobodyRunsTimesOut) {
  const Said said = carrel({"enqueue", "k", "--wait-at-most", "10ms"});
  EXPECT_EQ(said.code, 5) << said.err;
  EXPECT_THAT(said.err, HasSubstr("available"));
}

TEST_F(Jobs, ATerminalsCommandsInAJobDoNotReachTheTerminal) {
  carrel(
      {"enqueue", "k", R"({"evil":"\u001b[2J\u009b31m"})", "--request-id", "a\x1b[2Jb"});
  for (const std::string command : {"list", "show"}) {
    const Said said = command == "show" ? carrel({"show", "1"}) : carrel({"list"});
    EXPECT_EQ(said.out.find('\x1b'), std::string::npos) << command;
    EXPECT_EQ(said.out.find("\xc2\x9b"), std::string::npos) << command;
  }
}

}  // namespace
}  // namespace carrel::cli_test
