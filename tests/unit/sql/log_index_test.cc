// Whether a file may have been committed to, as a session knows without asking.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>

#include "sqlite/session.h"
#include "sqlite_files.h"

namespace carrel::test {
namespace {

namespace sqlite = sql::sqlite;

TEST(SqliteLogIndex, TellsOfEveryCommit) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  ASSERT_TRUE(open_url(file));  // the tables are there
  const auto insert = [](const std::string& name) {
    return "INSERT INTO carrel_paused (queue) VALUES ('" + name + "')";
  };
  // Before the file is opened here: SQLite's locks are not for children of a fork.
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(go[1]);
    char byte = 0;
    if (::read(go[0], &byte, 1) != 0) ::_exit(1);
    try {
      run_sql(file, insert("by another process"));
    } catch (const std::exception&) {
      ::_exit(2);
    }
    ::_exit(0);
  }
  ::close(go[0]);
  sqlite::Settings settings;
  settings.path = file;
  auto opened = sqlite::Session::open(settings, sqlite::Session::Role::kWriter);
  ASSERT_TRUE(opened) << opened.error().message;
  sqlite::Session& here = **opened;
  here.execute("SELECT count(*) FROM carrel_jobs");
  EXPECT_TRUE(here.may_have_changed()) << "nobody has looked yet";
  EXPECT_FALSE(here.may_have_changed());
  run_sql(file, "SELECT * FROM carrel_jobs");
  EXPECT_FALSE(here.may_have_changed()) << "that was read";
  here.execute(insert("ours").c_str());
  EXPECT_TRUE(here.may_have_changed());
  here.execute(("BEGIN IMMEDIATE; " + insert("undone") + "; ROLLBACK").c_str());
  EXPECT_FALSE(here.may_have_changed());
  for (int i = 0; i < 3; ++i) {
    run_sql(file, insert("theirs " + std::to_string(i)));
    EXPECT_TRUE(here.may_have_changed()) << i;
    EXPECT_FALSE(here.may_have_changed()) << i;
    run_sql(file, "PRAGMA wal_checkpoint(TRUNCATE)");  // the log begins anew
    here.may_have_changed();
  }
  ::close(go[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(here.may_have_changed());
}

}  // namespace
}  // namespace carrel::test
