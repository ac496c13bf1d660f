// What SOCI 4.0.3 does with the client of MariaDB, as soci_test.cc says it of SQLite's.
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

}  // namespace
}  // namespace carrel::test
