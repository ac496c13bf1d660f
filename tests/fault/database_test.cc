// What is held at rest: each case holds something.
#include "database.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <soci/soci.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "folder.h"
#include "host_db.h"
#include "work.h"

namespace carrel::fault {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AtRestOn : public testing::Test {
 protected:
  // Makes the tables of the store, which stays open, and of the host.
  void start(const DatabaseKind& kind) {
    if (const std::string missing = kind.missing(); !missing.empty()) {
      GTEST_SKIP() << missing << " is not installed";
    }
    database_ = kind.start({.folder = folder_.path()});
    store_ = or_die(open_store(database_->url()), "open");
    HostDb(database_->url()).make_tables();
    EXPECT_THAT(database_->unsound(), IsEmpty());
  }

  const Folder folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Store> store_;
};

class AtRest : public AtRestOn, public testing::WithParamInterface<const DatabaseKind*> {
 protected:
  void SetUp() override { start(*GetParam()); }
};

TEST_P(AtRest, WhatASessionHoldsIsSeen) {
  HostDb host(database_->url());
  host.begin();
  host.write_enqueued(JobId{1});
  EXPECT_THAT(database_->unsound(), Contains(HasSubstr("held at rest: ")));
  host.rollback();
  EXPECT_THAT(database_->unsound(), IsEmpty());
  if (!GetParam()->has_server) return;
  host.session() << (GetParam() == &kMariadb
                         ? "DO GET_LOCK(CONCAT('carrel_', DATABASE()), 0)"
                         : "SELECT pg_advisory_lock(1)");
  EXPECT_THAT(database_->unsound(), ElementsAre(HasSubstr("held at rest: ")));
}

INSTANTIATE_TEST_SUITE_P(Stores, AtRest,
                         testing::Values(&kSqlite, &kPostgresql, &kMariadb),
                         [](const auto& kind) { return kind.param->name; });

class AtRestOnSqlite : public AtRestOn {
 protected:
  void SetUp() override { start(kSqlite); }
  std::string file(const char* end) const {
    return (folder_.path() / "jobs.db").string() + end;
  }
};

TEST_F(AtRestOnSqlite, TheGateIsSeen) {
  const int gate = open(file("-gate").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(gate, LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(database_->unsound(), ElementsAre("held at rest: the gate"));
  close(gate);
  EXPECT_THAT(database_->unsound(), IsEmpty());
}

TEST_F(AtRestOnSqlite, ASnapshotIsSeen) {
  sqlite3* reader = nullptr;
  ASSERT_EQ(sqlite3_open(file("").c_str(), &reader), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(reader, "BEGIN; SELECT * FROM carrel_jobs", nullptr, nullptr, nullptr),
      SQLITE_OK);
  EXPECT_THAT(database_->unsound(), ElementsAre("held at rest: a snapshot"));
  sqlite3_close(reader);
  EXPECT_THAT(database_->unsound(), IsEmpty());
}

}  // namespace
}  // namespace carrel::fault
