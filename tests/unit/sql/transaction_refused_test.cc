// What a call within the host's transaction refuses, and what it leaves of that then.
#include <libpq-fe.h>
#include <mysql.h>
#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>
#include <sys/socket.h>

#include <functional>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "transaction_case.h"

namespace carrel::test {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

EnqueueOptions unique_by_kind() {
  EnqueueOptions options;
  options.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kSkip};
  return options;
}

void expect_refused(const Result<void>& answer, const std::string& says) {
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kInvalid) << answer.error().message;
  EXPECT_THAT(answer.error().message, HasSubstr(says));
}
void expect_refused(const Result<Inserted>& answer, const std::string& says) {
  expect_refused(answer ? Result<void>() : tl::unexpected(answer.error()), says);
}

// What the client knows of its transaction is what the last statement without an error
// said: without more, each of these would be committed at once.
TEST_P(Transaction, WhatTheServerHasEndedTakesNoJobAndCompletesNone) {
  Engine engine = ignited(config());
  Db db(kind());
  if (!db.is("mysql")) GTEST_SKIP() << "an error ends no transaction there";
  const auto lose = [&] {
    db.begin();
    db.charge(1);
    // Its table is there; it ends the transaction before it finds out.
    EXPECT_THROW(*db << "CREATE TABLE ledger (job BIGINT)", soci::soci_error);
  };
  EnqueueOptions named;
  named.request_id = "r";
  named.limit = Limit{"key", 1};
  for (const EnqueueOptions& options : {EnqueueOptions(), named, unique_by_kind()}) {
    lose();
    expect_refused(sql::enqueue(engine, *db, "work", {}, options), "begin it again");
    db.rollback();
  }
  EXPECT_THAT(engine.list({}).value(), SizeIs(0));
  const auto id = engine.enqueue("charge").value();
  const Claimed run = claim(engine, "charge");
  NoSink sink;
  Context job(run, sink);
  lose();
  expect_refused(sql::complete(job, *db), "begin it again");
  db.rollback();
  EXPECT_EQ(engine.job(id)->state, State::kRunning);
  db.begin();
  EXPECT_TRUE(sql::complete(job, *db));
  db.commit();
  EXPECT_EQ(engine.job(id)->state, State::kCompleted);
}

TEST_P(Transaction, ADeadLockSaysThatTheTransactionIsOver) {
  Engine engine = ignited(config());
  Db one(kind());
  if (!one.is("mysql")) GTEST_SKIP() << "an error ends no transaction there";
  Db other(kind());
  const auto enqueue = [&](Db& db, const std::string& job) {
    return sql::enqueue(engine, *db, job, {}, unique_by_kind());
  };
  for (Db* db : {&one, &other}) {
    **db << "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
    db->begin();
  }
  ASSERT_TRUE(enqueue(one, "a"));
  ASSERT_TRUE(enqueue(other, "b"));
  auto second = std::async(std::launch::async, [&] { return enqueue(other, "a"); });
  const auto first = enqueue(one, "b");
  const auto last = second.get();
  ASSERT_NE(first.has_value(), last.has_value()) << "one of them is the victim";
  const Error& error = first ? last.error() : first.error();
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("has ended this transaction"));
  Db& victim = first ? other : one;
  expect_refused(sql::enqueue(engine, *victim, "late"), "begin it again");
  victim.rollback();
  (first ? one : other).rollback();
  EXPECT_THAT(engine.list({}).value(), SizeIs(0));
}

TEST_P(Transaction, AHostThatDoesNotFindTheStoresTablesGoesOn) {
  Engine engine = ignited(config());
  Db db(kind());
  if (!db.is("postgresql")) GTEST_SKIP() << "there are no search paths";
  db.begin();
  db.charge(1);
  *db << "SET LOCAL search_path = pg_catalog";
  const auto refused = sql::enqueue(engine, *db, "work");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("carrel_clock"));
  *db << "SET LOCAL search_path = public";
  ASSERT_TRUE(sql::enqueue(engine, *db, "work"));
  db.commit();
  EXPECT_EQ(charged(), 1);
  EXPECT_EQ(jobs(engine, State::kAvailable), 1U);
}

// A batch of unique jobs would find the first of their holders, and make the others
// twice.
TEST_P(Transaction, ASettingThatHidesRowsOrForbidsWritesIsRefused) {
  Engine engine = ignited(config());
  Db db(kind());
  if (!db.is("mysql")) GTEST_SKIP() << "there are no such settings";
  const std::vector<std::pair<std::string, std::string>> settings = {
      {"sql_select_limit", "1"}, {"sql_select_limit", "0"}, {"sql_safe_updates", "1"}};
  for (const auto& [name, value] : settings) {
    *db << "SET " + name + " = " + value;
    db.begin();
    expect_refused(sql::enqueue(engine, *db, "work"), "SET " + name);
    db.rollback();
    *db << "SET " + name + " = DEFAULT";
  }
  db.begin();
  EXPECT_TRUE(sql::enqueue(engine, *db, "work", {}, unique_by_kind()));
  db.commit();
}

TEST_P(Transaction, AConnectionThatIsGoneIsUnavailable) {
  Engine engine = ignited(config());
  if (Db(kind()).is("sqlite3")) GTEST_SKIP() << "there is no connection";
  const auto ended_by_the_server = [&](Db& db) {
    const bool postgresql = db.is("postgresql");
    const auto id =
        db.number(postgresql ? "SELECT pg_backend_pid()" : "SELECT CONNECTION_ID()");
    Db other(kind());
    if (postgresql) {  // waits until it has ended
      other.number("SELECT pg_terminate_backend(" + std::to_string(id) + ", 60000)::int");
    } else {
      *other << "KILL " + std::to_string(id);
    }
  };
  // Nothing says why.
  const auto cut = [](Db& db) {
    const int socket =
        db.is("postgresql")
            ? PQsocket(static_cast<soci::postgresql_session_backend*>((*db).get_backend())
                           ->conn_)
            : static_cast<int>(mysql_get_socket(
                  static_cast<soci::mysql_session_backend*>((*db).get_backend())->conn_));
    ::shutdown(socket, SHUT_RDWR);
  };
  for (const std::function<void(Db&)>& end :
       {std::function<void(Db&)>(ended_by_the_server), std::function<void(Db&)>(cut)}) {
    Db db(kind());
    db.begin();
    ASSERT_TRUE(sql::enqueue(engine, *db, "work"));
    end(db);
    for (int i = 0; i < 2; ++i) {
      const auto refused = sql::enqueue(engine, *db, "work");
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Code::kUnavailable) << refused.error().message;
      EXPECT_THAT(refused.error().message, Not(HasSubstr("\n")));
    }
  }
  EXPECT_EQ(jobs(engine, State::kAvailable), 0U);
}

TEST_P(Transaction, ATransactionThatOnlyReadsIsRefused) {
  Engine engine = ignited(config());
  Db db(kind());
  if (db.is("sqlite3")) {
    *db << "PRAGMA query_only = ON";
    *db << "BEGIN";
  } else {
    *db << "START TRANSACTION READ ONLY";
  }
  for (const EnqueueOptions& options : {EnqueueOptions(), unique_by_kind()}) {
    expect_refused(sql::enqueue(engine, *db, "work", {}, options), "only reads");
  }
  db.rollback();
}

TEST_P(Transaction, AKeyIsRefusedAsInTheStore) {
  Engine engine = ignited(config());
  for (const std::string& key :
       {std::string("\xff"), std::string("a\0b", 3), std::string("\xed\xa0\x80")}) {
    EnqueueOptions limited;
    limited.limit = Limit{key, 1};
    EnqueueOptions rated;
    rated.rate = Rate{key, 1, Duration(1h)};
    for (const EnqueueOptions& options : {limited, rated}) {
      const auto usual = engine.enqueue("work", {}, options);
      Db db(kind());
      db.begin();
      const auto here = sql::enqueue(engine, *db, "work", {}, options);
      ASSERT_EQ(here.has_value(), usual.has_value());
      if (usual) continue;
      EXPECT_EQ(here.error().code, usual.error().code);
      EXPECT_EQ(here.error().message, usual.error().message);
    }
  }
}

TEST_P(Transaction, ASavepointOfTheHostsIsLeftAlone) {
  Engine engine = ignited(config());
  Db db(kind());
  db.begin();
  *db << "SAVEPOINT carrel";
  db.charge(1);
  ASSERT_TRUE(sql::enqueue(engine, *db, "work"));
  *db << "ROLLBACK TO SAVEPOINT carrel";
  db.charge(2);
  db.commit();
  EXPECT_EQ(Db(kind()).number("SELECT SUM(job) FROM ledger"), 2);
  EXPECT_EQ(jobs(engine, State::kAvailable), 0U);
}

}  // namespace
}  // namespace carrel::test
