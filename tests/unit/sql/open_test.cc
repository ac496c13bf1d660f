// Opening a store: what a URL may say, and every way in which a file cannot be one.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "sqlite_files.h"

namespace carrel::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Error error_of(const std::string& rest) {
  auto store = open_url(rest);
  EXPECT_FALSE(store.has_value()) << rest << " was opened";
  return store ? Error{} : store.error();
}

void expect_refused(const std::string& rest, Code code,
                    const testing::Matcher<std::string>& message) {
  const Error error = error_of(rest);
  EXPECT_EQ(error.code, code) << rest << ": " << error.message;
  EXPECT_THAT(error.message, message);
}

TEST(SqliteUrl, UnknownOptionsAreRefusedByName) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  expect_refused(file + "?syncronous=FULL", Code::kInvalid,
                 AllOf(HasSubstr("\"syncronous\""),
                       HasSubstr("allowed are synchronous, busy_timeout and migrate")));
  expect_refused(file + "?synchronous=EXTRA", Code::kInvalid,
                 AllOf(HasSubstr("FULL, NORMAL or OFF"), HasSubstr("\"EXTRA\"")));
  expect_refused(file + "?busy_timeout=5", Code::kInvalid, HasSubstr("busy_timeout"));
  expect_refused(file + "?busy_timeout=0s", Code::kInvalid, HasSubstr("busy_timeout"));
  expect_refused(file + "?migrate=never", Code::kInvalid, HasSubstr("new, on or off"));
  EXPECT_FALSE(std::filesystem::exists(file)) << "a refused URL makes no file";
}

TEST(SqliteUrl, WithoutMigration_AnothersFileIsLeftAsItIs) {
  const TemporaryDirectory place;
  const std::string file = place.file("theirs.db");
  const auto wants_migration =
      AllOf(HasSubstr("no tables of carrel's"), HasSubstr("carrel migrate"));
  expect_refused(file + "?migrate=off", Code::kUnsupported, wants_migration);
  EXPECT_FALSE(std::filesystem::exists(file));
  std::ofstream(file).close();
  run_sql(file, "CREATE TABLE theirs (a)");
  const auto size = std::filesystem::file_size(file);
  expect_refused(file + "?migrate=off", Code::kUnsupported, wants_migration);
  EXPECT_EQ(std::filesystem::file_size(file), size);
  EXPECT_FALSE(std::filesystem::exists(file + "-gate"));
  EXPECT_TRUE(open_url(file + "?migrate=new").has_value());
  EXPECT_TRUE(open_url(file + "?migrate=off").has_value());
}

TEST(SqliteUrl, WithoutMigration_OlderTablesAreRefused) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  ASSERT_TRUE(open_url(file).has_value());
  run_sql(file, "UPDATE carrel_schema SET version = 1");
  for (const char* query : {"?migrate=off", "?migrate=new"}) {
    expect_refused(
        file + query, Code::kUnsupported,
        AllOf(HasSubstr("its schema has version"), HasSubstr("carrel migrate")));
  }
}

TEST(SqliteUrl, WhatIsNoFileIsRefusedWithTheWayOut) {
  expect_refused("", Code::kInvalid, HasSubstr("sqlite:jobs.db"));
  expect_refused(":memory:", Code::kInvalid, HasSubstr("\"memory:\""));
  expect_refused("file:jobs.db", Code::kInvalid, HasSubstr("without \"file:\""));
  expect_refused("//host/jobs.db", Code::kInvalid, HasSubstr("no host"));
  expect_refused("/tmp/a\"b.db", Code::kInvalid, HasSubstr("'\"'"));
}

TEST(SqliteUrl, EverySettingOpens) {
  const TemporaryDirectory place;
  for (const char* query : {"?synchronous=FULL", "?synchronous=normal&busy_timeout=250ms",
                            "?synchronous=OFF", ""}) {
    auto store = open_url(place.file("jobs.db") + query);
    ASSERT_TRUE(store.has_value()) << query << ": " << store.error().message;
    EXPECT_EQ(insert_jobs(**store, 1).size(), 1U);
  }
}

TEST(SqliteUrl, AFileNameMayHoldBlanksAndEqualsSigns) {
  const TemporaryDirectory place;
  const std::string file = place.file("a  job=s synchronous=OFF db.sqlite");
  auto store = open_url(file);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  EXPECT_TRUE(std::filesystem::exists(file));
}

// As SQLite's own files, of which there is one set whatever the name.
TEST(SqliteOpen, AFileAndALinkToItHaveOneGate) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  const std::string link = place.file("link.db");
  auto store = open_url(file);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  std::filesystem::create_symlink("jobs.db", link);
  auto linked = open_url(link);
  ASSERT_TRUE(linked.has_value()) << linked.error().message;
  EXPECT_EQ(insert_jobs(**linked, 1).size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(file + "-gate"));
  EXPECT_FALSE(std::filesystem::exists(link + "-gate"));
  // Also where the file is made through the link.
  const std::string later = place.file("later.db");
  std::filesystem::create_symlink("later.db", place.file("to_later.db"));
  ASSERT_TRUE(open_url(place.file("to_later.db")));
  EXPECT_TRUE(std::filesystem::exists(later + "-gate"));
  EXPECT_FALSE(std::filesystem::exists(place.file("to_later.db-gate")));
}

TEST(SqliteOpen, AFileThatIsRemovedOrReplacedWhileItIsOpenTakesNothing) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  auto store = open_url(file);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  ASSERT_EQ(insert_jobs(**store, 1).size(), 1U);
  NewJob job;
  job.kind = "work";
  const auto refused = [&] {
    const auto answer = std::move((*store)->insert({&job, 1}, Duration::max()).front());
    EXPECT_FALSE((*store)->sweep(10)) << "who only waits is told too";
    if (answer) return std::string("it was stored");
    EXPECT_EQ(answer.error().code, Code::kUnavailable);
    return answer.error().message;
  };
  std::filesystem::rename(file, file + ".old");
  EXPECT_THAT(refused(), AllOf(HasSubstr(file), HasSubstr("removed or replaced")));
  std::ofstream(file) << "another";
  EXPECT_THAT(refused(), HasSubstr("removed or replaced"));
  std::filesystem::rename(file + ".old", file);
  EXPECT_EQ(insert_jobs(**store, 1).size(), 1U) << "it is back";
}

TEST(SqliteOpen, AMissingDirectoryIsNamed) {
  const TemporaryDirectory place;
  const std::string file = place.file("none/jobs.db");
  expect_refused(file, Code::kNotFound,
                 AllOf(HasSubstr(file), HasSubstr("there is no directory")));
}

TEST(SqliteOpen, ADirectoryIsNoFile) {
  const TemporaryDirectory place;
  std::filesystem::create_directory(place.file("jobs.db"));
  expect_refused(place.file("jobs.db"), Code::kInvalid, HasSubstr("it is a directory"));
}

// As somebody whom permissions hold back: root is not. In a child, whose exit status
// says how it went.
TEST(SqliteOpen, AFileThatMayNotBeWrittenIsNamed) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  ASSERT_TRUE(open_url(file).has_value());
  ::chmod(std::filesystem::path(file).parent_path().c_str(), 0755);
  for (const char* part : {"", "-gate"}) ::chmod((file + part).c_str(), 0444);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
    const auto store = open_url(file);
    if (store) ::_exit(1);
    const Error& error = store.error();
    const bool named = error.message.find(file) != std::string::npos &&
                       error.message.find("ermission denied") != std::string::npos;
    if (!named) ::fprintf(stderr, "%s\n", error.message.c_str());
    ::_exit(named && error.code == Code::kInvalid ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SqliteOpen, WhatIsNoDatabaseIsCorrupt) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  std::ofstream(file) << std::string(8192, 'x');
  expect_refused(file, Code::kCorrupt,
                 AllOf(HasSubstr(file), HasSubstr("not a database")));
}

TEST(SqliteOpen, ADamagedFileIsCorruptWhenItIsRead) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  {
    auto store = open_url(file);
    ASSERT_TRUE(store.has_value());
    insert_jobs(**store, 2000, std::string(900, 'p'));
  }
  // All but the first pages, which hold the schema.
  const auto size = std::filesystem::file_size(file);
  std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
  for (std::uintmax_t at = 32 * 4096; at + 4096 <= size; at += 4096) {
    damage.seekp(static_cast<std::streamoff>(at));
    damage << std::string(4096, '\xee');
  }
  damage.close();
  auto store = open_url(file);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  auto jobs = (*store)->monitor().list({}, JobId{0}, 2000);
  ASSERT_FALSE(jobs.has_value());
  EXPECT_EQ(jobs.error().code, Code::kCorrupt) << jobs.error().message;
  EXPECT_THAT(jobs.error().message, HasSubstr(file));
}

TEST(SqliteOpen, ANewerSchemaNamesBothVersions) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  ASSERT_TRUE(open_url(file).has_value());
  run_sql(file, "INSERT INTO carrel_schema VALUES (4711, 0, NULL)");
  expect_refused(
      file, Code::kUnsupported,
      AllOf(HasSubstr(file), HasSubstr("version 4711"), HasSubstr("versions up to 7")));
  run_sql(file, "DELETE FROM carrel_schema WHERE version = 4711");
  EXPECT_TRUE(open_url(file).has_value()) << "nothing was changed by the refusal";
}

// A newer program brought it forward while this one goes on.
TEST(SqliteOpen, ASchemaThatBecomesNewerIsNotWrittenTo) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  auto store = open_url(file).value();
  insert_jobs(*store, 1);
  run_sql(file,
          "CREATE TABLE other (n); INSERT INTO carrel_schema VALUES (4711, 0, NULL)");
  const NewJob job = work();
  const auto refused = std::move(store->insert({&job, 1}, std::chrono::seconds(60))[0]);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr(file), HasSubstr("version 4711"), HasSubstr("up to 7")));
  run_sql(file, "DELETE FROM carrel_schema WHERE version = 4711; DROP TABLE other");
  insert_jobs(*store, 1);
  EXPECT_THAT(run_sql(file, "SELECT COUNT(*) FROM carrel_jobs"),
              testing::ElementsAre("2"));
}

// One that the version after says can be used by this one is.
TEST(SqliteOpen, ANewerSchemaIsUsedIfItSaysThatItCanBe) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  auto running = open_url(file).value();
  insert_jobs(*running, 1);
  run_sql(file,
          "CREATE TABLE carrel_newer (n);"
          "INSERT INTO carrel_schema VALUES (8, 0, 7)");
  insert_jobs(*running, 1);
  auto store = open_url(file);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  insert_jobs(**store, 1);
  EXPECT_THAT(run_sql(file, "SELECT COUNT(*) FROM carrel_jobs"),
              testing::ElementsAre("3"));
  EXPECT_THAT(run_sql(file, "SELECT MAX(version) FROM carrel_schema"),
              testing::ElementsAre("8"));
  Registry registry;
  register_sql(registry);
  const Url url = Url::parse("sqlite:" + file).value();
  const SchemaChange change = (**registry.schema("sqlite"))(url, false).value();
  EXPECT_EQ(change.from, 8);
  EXPECT_EQ(change.to, 8) << "nothing to do, and no way back";
  run_sql(file, "INSERT INTO carrel_schema VALUES (9, 0, 8)");
  expect_refused(file, Code::kUnsupported, HasSubstr("version 9"));
  run_sql(file, "INSERT INTO carrel_schema VALUES (10, 0, NULL)");
  expect_refused(file, Code::kUnsupported, HasSubstr("version 10"));
}

// What version 7 brought.
constexpr const char* kBackToVersion6 =
    "DELETE FROM carrel_schema WHERE version > 6;"
    "ALTER TABLE carrel_schema DROP COLUMN usable_from;"
    "DROP INDEX carrel_limits_line;"
    "ALTER TABLE carrel_limits DROP COLUMN reserved;"
    "CREATE INDEX carrel_limits_line"
    "    ON carrel_limits (key, state, queue, kind, priority, run_at)"
    " WHERE state IS NOT NULL";

// As the program of version 1 left it: one that waits, one that ran, one that is done.
TEST(SqliteOpen, TheJobsOfAnOlderFileAreThere) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  const std::vector<std::string> kinds = {"work"};
  std::vector<JobId> ids;
  const auto claim = [&](Store& store, std::size_t most) {
    return store.claim_source()
        ->claim({{}, kinds, most}, "w", 1, std::chrono::hours(1), Duration{0})
        .value();
  };
  {
    auto store = open_url(file).value();
    ids = insert_jobs(*store, 3, std::string(5000, 'x'));
    const auto runs = claim(*store, 2);
    ASSERT_EQ(runs.size(), 2U);
    Finish done;
    done.lease = runs[0].lease;
    done.result = "7";
    done.attempt = Attempt{};
    ASSERT_TRUE(store->finish({&done, 1})[0].has_value());
  }
  run_sql(file,
          "DROP TABLE carrel_limits; DROP TABLE carrel_unique; DROP TABLE carrel_rates;"
          "DROP TABLE carrel_starts; DROP TABLE carrel_rate_keys;"
          "ALTER TABLE carrel_attempts DROP COLUMN ending;"
          "ALTER TABLE carrel_schema DROP COLUMN usable_from;"
          "DELETE FROM carrel_schema WHERE version > 1");
  auto store = open_url(file).value();
  EXPECT_THAT(run_sql(file, "SELECT MAX(version) FROM carrel_schema"),
              testing::ElementsAre("7"));
  const JobRecord done = store->monitor().job(ids[0]).value();
  EXPECT_EQ(done.state, State::kCompleted);
  EXPECT_EQ(done.result, "7");
  EXPECT_EQ(done.payload, std::string(5000, 'x'));
  EXPECT_EQ(store->monitor().job(ids[1])->state, State::kRunning);
  EXPECT_EQ(store->monitor().counts()->total[static_cast<std::size_t>(State::kCompleted)],
            1U);
  NewJob limited = work();
  limited.limit = Limit{"key", 1};
  ASSERT_TRUE(store->insert({&limited, 1}, std::chrono::seconds(60))[0].has_value());
  EXPECT_EQ(claim(*store, 9).size(), 2U) << "the one that waits, and the new one";
}

TEST(SqliteOpen, AnOlderSchemaIsBroughtForward) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  ASSERT_TRUE(open_url(file).has_value());
  const char* const indexes =
      "SELECT count(*) FROM sqlite_schema WHERE name IN"
      " ('carrel_limits_available', 'carrel_rates_available')";
  run_sql(file, kBackToVersion6);
  run_sql(file,
          "DELETE FROM carrel_schema WHERE version = 6;"
          "DROP INDEX carrel_limits_available; DROP INDEX carrel_rates_available");
  EXPECT_THAT(run_sql(file, indexes), testing::ElementsAre("0"));
  ASSERT_TRUE(open_url(file).has_value());
  EXPECT_THAT(run_sql(file, indexes), testing::ElementsAre("2"));
}

TEST(SqliteOpen, AStepThatFailsHalfWayLeavesWhatWasThere) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  ASSERT_TRUE(open_url(file).has_value());
  run_sql(file, kBackToVersion6);
  run_sql(file,
          "DELETE FROM carrel_schema WHERE version > 4;"
          "DROP TABLE carrel_rates; DROP TABLE carrel_starts;"
          "DROP TABLE carrel_rate_keys; DROP INDEX carrel_limits_available;"
          "CREATE TABLE carrel_rate_keys (in_its_way INTEGER)");
  EXPECT_FALSE(open_url(file));
  EXPECT_THAT(run_sql(file, "SELECT MAX(version) FROM carrel_schema"),
              testing::ElementsAre("4"));
  EXPECT_THAT(
      run_sql(file, "SELECT count(*) FROM sqlite_schema WHERE name = 'carrel_rates'"),
      testing::ElementsAre("0"));
  run_sql(file, "DROP TABLE carrel_rate_keys");
  auto store = open_url(file);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  NewJob rated = work();
  rated.rate = Rate{"key", 1, std::chrono::hours(1)};
  ASSERT_TRUE((*store)->insert({&rated, 1}, std::chrono::seconds(60))[0].has_value());
  EXPECT_THAT(run_sql(file, "SELECT MAX(version) FROM carrel_schema"),
              testing::ElementsAre("7"));
}

TEST(SqliteOpen, WhoIsWritingHoldsUpNobodyWhoOpens) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  insert_jobs(*open_url(file).value(), 1);
  sqlite3* writing = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &writing), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(writing, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr),
            SQLITE_OK);
  const auto store = open_url(file + "?busy_timeout=100ms");
  EXPECT_TRUE(store) << store.error().message;
  if (store) {
    EXPECT_EQ((*store)->monitor().list({}, JobId{}, 10).value().size(), 1U);
  }
  sqlite3_close(writing);
}

TEST(SqliteOpen, ManyThatBringItForwardAtOnceDoItOnce) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  ASSERT_TRUE(open_url(file).has_value());
  for (int round = 0; round < 5; ++round) {
    run_sql(file, kBackToVersion6);
    run_sql(file,
            "DELETE FROM carrel_schema WHERE version > 4;"
            "DROP TABLE carrel_rates; DROP TABLE carrel_starts;"
            "DROP TABLE carrel_rate_keys; DROP INDEX carrel_limits_available");
    std::vector<std::future<Result<std::unique_ptr<Store>>>> all;
    for (int i = 0; i < 4; ++i) {
      all.push_back(std::async(std::launch::async, [&] { return open_url(file); }));
    }
    for (auto& one : all) {
      const auto store = one.get();
      EXPECT_TRUE(store.has_value()) << store.error().message;
    }
    EXPECT_THAT(run_sql(file, "SELECT COUNT(*) - MAX(version) FROM carrel_schema"),
                testing::ElementsAre("0"));
  }
}

TEST(SqliteOpen, AHostsOwnTablesAreLeftAlone) {
  const TemporaryDirectory place;
  const std::string file = place.file("host.db");
  std::ofstream(file).close();
  run_sql(file, "CREATE TABLE jobs (name TEXT); INSERT INTO jobs VALUES ('mine')");
  auto store = open_url(file);
  ASSERT_TRUE(store.has_value()) << store.error().message;
  insert_jobs(**store, 3);
  EXPECT_THAT(run_sql(file, "SELECT name FROM jobs"), testing::ElementsAre("mine"));
}

TEST(SqliteOpen, TheLastCloseLeavesOneFileAndTheGate) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  {
    auto store = open_url(file);
    ASSERT_TRUE(store.has_value());
    insert_jobs(**store, 3);
    EXPECT_TRUE(std::filesystem::exists(file + "-wal"));
  }
  EXPECT_FALSE(std::filesystem::exists(file + "-wal"));
  EXPECT_TRUE(std::filesystem::exists(file + "-gate"));
}

}  // namespace
}  // namespace carrel::test
