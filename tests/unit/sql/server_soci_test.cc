// What SOCI 4.0.3 does with the clients of the servers, as soci_test.cc says it of
// SQLite's.
#include <soci/soci.h>
#include <soci/version.h>

#include "server_case.h"

namespace carrel::test {
namespace {

class SociMariadb : public testing::Test {
 protected:
  void SetUp() override {
    if (SOCI_VERSION != 400003) GTEST_SKIP() << "another SOCI";
    mariadb_kind().clean();
  }
  static std::string connect() {
    return "host=127.0.0.1 user=carrel dbname=carrel port=" +
           std::to_string(mariadb().port());
  }
  static long long number(soci::session& db, const char* sql) {
    long long n = -1;
    db << sql, soci::into(n);
    return n;
  }
  // As an operator does, or a server that was restarted.
  static void kill(soci::session& db) {
    mariadb().run("KILL " + std::to_string(number(db, "SELECT CONNECTION_ID()")));
  }
};

TEST_F(SociMariadb, RowsThatAreFoundCountAsChanged) {
  soci::session db("mysql", connect());
  db << "CREATE TABLE t (n BIGINT)";
  db << "INSERT INTO t VALUES (1)";
  soci::statement same = (db.prepare << "UPDATE t SET n = 1 WHERE n = 1");
  same.execute(true);
  EXPECT_EQ(same.get_affected_rows(), 1) << "MariaDB itself says 0";
}

TEST_F(SociMariadb, ASessionReconnectsOnlyWhereItIsAskedTo) {
  soci::session db("mysql", connect());
  db << "SET @before = 1";
  kill(db);
  EXPECT_THROW(number(db, "SELECT 1"), soci::soci_error);
  EXPECT_THROW(number(db, "SELECT 1"), soci::soci_error) << "for good";
  soci::session other("mysql", connect() + " reconnect=1");
  other << "SET @before = 1";
  kill(other);
  EXPECT_EQ(number(other, "SELECT COALESCE(@before, 0)"), 0) << "another one, silently";
}

TEST_F(SociMariadb, NoUrlAsksForThat) {
  const auto store = open_store(mariadb_kind().url(mariadb().port()) + "?reconnect=1");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kInvalid);
  EXPECT_THAT(store.error().message, testing::HasSubstr("reconnect"));
}

// Its copy of a value is gone once it was stored, or when it is told to.
TEST_P(Server, SociSendsTheValueBeforeForANullAfterAFailure) {
  if (SOCI_VERSION != 400003) GTEST_SKIP() << "another SOCI";
  const auto db = kind().session();
  *db << "CREATE TABLE t (n BIGINT CHECK (n < 10))";
  long long n = 11;
  soci::indicator has_n = soci::i_ok;
  soci::statement insert =
      (db->prepare << "INSERT INTO t (n) VALUES (:n)", soci::use(n, has_n, "n"));
  EXPECT_THROW(insert.execute(true), soci::soci_error);
  has_n = soci::i_null;
  if (is_postgresql(kind())) {
    EXPECT_THROW(insert.execute(true), soci::soci_error) << "11 again";
  }
  insert.undefine_and_bind();
  insert.execute(true);
  EXPECT_THAT(kind().run("SELECT COUNT(*) FROM t WHERE n IS NULL"),
              testing::ElementsAre("1"));
}

// PostgreSQL looks at a table to prepare a statement, and the table may be locked.
TEST(Postgres, AStatementThatCouldNotBePreparedIsPreparedLater) {
  const Kind kind = postgres_kind();
  kind.clean();
  ASSERT_TRUE(open_store(kind.url(kind.port())));
  const auto store = open_store(kind.url(kind.port()) + "?call_timeout=2s").value();
  const auto host = kind.session();
  host->begin();
  *host << "LOCK TABLE carrel_jobs";
  NewJob job;
  job.kind = "work";
  job.payload = "{}";
  ASSERT_FALSE(store->insert({&job, 1}, 60s)[0]);
  host->rollback();
  const auto inserted = std::move(store->insert({&job, 1}, 60s)[0]);
  EXPECT_TRUE(inserted) << inserted.error().message;
}

TEST_P(Server, WhatFailedLeavesNothingInTheNextRow) {
  auto store = open(url());
  ASSERT_TRUE(store && insert(*store));
  kind().run(
      "ALTER TABLE carrel_jobs ADD CONSTRAINT nobody_expires"
      " CHECK (expires_at IS NULL)");
  NewJob brief = job();
  brief.start_within = 2h;
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(insert(*store, brief));
    const auto next = insert(*store);
    ASSERT_TRUE(next) << next.error().message;
    const auto record = store->monitor().job(next->id);
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_FALSE(record->expires);
  }
}

}  // namespace
}  // namespace carrel::test
