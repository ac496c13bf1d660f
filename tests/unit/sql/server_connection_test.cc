// Connections to database servers: lost and stuck ones, what SOCI 4.0.3 and the clients
// are known to do wrong.
#include <carrel/engine.h>
#include <soci/postgresql/soci-postgresql.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "mariadb/driver.h"
#include "mariadb/session.h"
#include "mariadb/url.h"
#include "postgresql/session.h"
#include "server_case.h"
#include "servers/proxy.h"

namespace carrel::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// What other programs call it: the scheme, a ':' and the rest stay the same otherwise.
TEST_P(Server, TheServerGoesByItsOtherSchemeToo) {
  const std::string known = url();
  const std::string rest = known.substr(known.find(':'));
  const auto job = insert(*open(known));
  ASSERT_TRUE(job);
  auto store = open((is_postgresql(kind()) ? "postgres" : "mariadb") + rest);
  ASSERT_TRUE(store);
  EXPECT_THAT(store->monitor().list({}, {}, 10).value(), SizeIs(1));
  if (!is_postgresql(kind())) return;
  for (const char* scheme : {"postgres%3A", "postgresql%3A"}) {
    EXPECT_TRUE(open(known + "?listen=" + scheme + rest.substr(1))) << scheme;
  }
  const auto stranger = open_store(known + "?listen=mysql%3A" + rest.substr(1));
  ASSERT_FALSE(stranger);
  EXPECT_THAT(stranger.error().message, HasSubstr("expected on, off or a postgresql://"));
}

TEST_P(Server, AnOptionThatNobodyKnowsIsNamed) {
  const auto mistyped = open_store(url("?call_timuot=1s"));
  ASSERT_FALSE(mistyped);
  EXPECT_EQ(mistyped.error().code, Code::kInvalid);
  EXPECT_THAT(
      mistyped.error().message,
      testing::AllOf(HasSubstr("no option \"call_timuot\""), HasSubstr("call_timeout")));
}

// libpq would tell what follows as a host or a port.
TEST(PostgresUrl, APasswordThatIsNotEncodedIsRefusedAndNotTold) {
  for (const char* text :
       {"postgresql://u:se@cret@127.0.0.1:1/db", "postgresql://u:se/cret@127.0.0.1:1/db",
        "postgresql://u:se?x=cret@127.0.0.1:1/db"}) {
    const auto store = open_store(text);
    ASSERT_FALSE(store) << text;
    EXPECT_EQ(store.error().code, Code::kInvalid) << text;
    EXPECT_THAT(
        store.error().message,
        testing::AllOf(HasSubstr("%40"), Not(HasSubstr("cret")), Not(HasSubstr("\"se"))))
        << text;
  }
  for (const char* text : {"postgresql://u:se%40cret@127.0.0.1:1/db",
                           "postgresql://u:se#cret@127.0.0.1:1/db",
                           "postgresql://127.0.0.1:1,127.0.0.1:1/db?application_name=a@b",
                           "postgresql://[::1]:1/db?application_name=a@b"}) {
    const auto away = open_store(text);
    ASSERT_FALSE(away) << text;
    EXPECT_EQ(away.error().code, Code::kUnavailable) << away.error().message;
  }
  const auto listens = open_store(
      "postgresql://h/db?listen=postgresql%3A%2F%2Fu%3Ase%40cret%40127.0.0.1%2Fdb");
  ASSERT_FALSE(listens);
  EXPECT_EQ(listens.error().code, Code::kInvalid);
  EXPECT_THAT(listens.error().message, HasSubstr("listen: in a password"));
}

TEST_P(Server, ACallInABlackHoleIsFreedAndTheStoreComesBack) {
  ASSERT_TRUE(open(url()));  // makes the tables, which may take longer than a second
  Proxy proxy(kind().port());
  auto store = open(url(proxy.port(), "?call_timeout=1s"));
  ASSERT_TRUE(store);
  ASSERT_TRUE(insert(*store));
  ASSERT_TRUE(store->monitor().counts());
  proxy.swallow();
  const auto start = SteadyClock::now();
  const auto stuck = insert(*store);
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().code, Code::kUnavailable);
  const auto read = store->monitor().counts();
  EXPECT_FALSE(read);
  // A call, then a connection that hangs, each of them twice.
  EXPECT_LT(SteadyClock::now() - start, 30s);
  proxy.pass();
  EXPECT_LT(until_works([&] { return store->monitor().counts(); }), 15s);
  EXPECT_LT(until_it_works(*store), 15s);
}

TEST_P(Server, AConnectionThatWasCutWhileIdleIsNoticedByNobody) {
  Proxy proxy(kind().port());
  auto store = open(url(proxy.port()));
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(insert(*store)) << round;
    ASSERT_TRUE(store->monitor().counts()) << round;
    EXPECT_THAT(claim(*store, 1), SizeIs(1)) << round;
    proxy.cut();
  }
}

// The transaction that was begun has no end of its own.
TEST_P(Server, ABeginThatFailsHalfWayLeavesNoTransactionOpen) {
  auto store = open(url());
  const auto ticket = insert(*store)->ticket;
  ASSERT_TRUE(ticket);
  const auto claim = [&] { return store->claim({&*ticket, 1}, "w", 1, 30s); };
  const bool postgres = kind().name == std::string("postgresql");
  const auto rename = [&](const std::string& from, const std::string& to) {
    kind().run(postgres ? "ALTER VIEW " + from + " RENAME TO " + to
                        : "RENAME TABLE " + from + " TO " + to);
  };
  rename("carrel_clock", "carrel_clock_away");
  const auto failed = claim();
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("carrel_clock"));
  // Its end is the server's to see, which takes a moment.
  const auto open_now = [&] { return kind().run(kind().open_transactions).at(0); };
  for (const auto until = SteadyClock::now() + 20s;
       open_now() != "0" && SteadyClock::now() < until;) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(open_now(), "0");
  rename("carrel_clock_away", "carrel_clock");
  // A connection could not be prepared without it either: the next comes after a pause.
  auto claimed = claim();
  for (const auto until = SteadyClock::now() + 20s;
       !claimed && SteadyClock::now() < until;) {
    std::this_thread::sleep_for(10ms);
    claimed = claim();
  }
  ASSERT_TRUE(claimed.has_value()) << claimed.error().message;
  EXPECT_TRUE(claimed->at(0).has_value());
}

TEST_P(Server, WhatAStatementAloneStoresHasTheServersTime) {
  auto store = open(url());
  ASSERT_TRUE(insert(*store));  // the connection is known to be there
  NewJob later = job();
  later.delay = 1h;
  NewJob brief = job();
  brief.start_within = 2h;
  const auto id = insert(*store, later);
  ASSERT_TRUE(id);
  ASSERT_TRUE(insert(*store, brief));
  EXPECT_EQ(kind()
                .run("SELECT COUNT(*) FROM carrel_jobs, carrel_clock WHERE state = 1"
                     " AND run_at = wake_at AND run_at = enqueued_at + 3600000000"
                     " AND now_us - enqueued_at BETWEEN 0 AND 60000000")
                .at(0),
            "1");
  EXPECT_EQ(kind()
                .run("SELECT COUNT(*) FROM carrel_jobs WHERE state = 2"
                     " AND expires_at = enqueued_at + 7200000000"
                     " AND run_at = enqueued_at AND wake_at = expires_at")
                .at(0),
            "1");
  ASSERT_THAT(claim(*store, 1), SizeIs(1));
  ASSERT_THAT(claim(*store, 1), SizeIs(1));
  EXPECT_EQ(kind()
                .run("SELECT COUNT(*) FROM carrel_jobs, carrel_clock WHERE state = 3"
                     " AND wake_at = started_at + 30000000"
                     " AND now_us - started_at BETWEEN 0 AND 60000000")
                .at(0),
            "2");
}

// Jobs of several threads go in one statement; each hears of its own.
TEST_P(Server, EnqueuesThatComeTogetherKeepTheirAnswers) {
  auto store = open(url());
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::map<std::uint64_t, std::string> payloads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string payload = std::to_string(100 * t + i);
        const auto answer = insert(*store, job(payload));
        ASSERT_TRUE(answer) << answer.error().message;
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(payloads.emplace(value(answer->id), payload).second);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto runs = claim(*store, 200);
  EXPECT_THAT(runs, SizeIs(160));
  for (const Claimed& run : runs) {
    EXPECT_EQ(run.payload, payloads[value(run.lease.id)]);
  }
}

TEST_P(Server, ARestartedServerIsFoundAgain) {
  auto store = open(url());
  ASSERT_TRUE(insert(*store));
  std::size_t answered = 1;
  for (const char* signal : {"QUIT", "KILL"}) {
    kind().stop(signal);
    auto away = insert(*store);
    // The process behind a connection may outlive a server that was killed, by a moment.
    for (; away; away = insert(*store)) ++answered;
    EXPECT_EQ(away.error().code, Code::kUnavailable) << away.error().message;
    kind().start();
    EXPECT_LT(until_it_works(*store), 10s);
    ++answered;
  }
  const auto counts = store->monitor().counts();
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->total[static_cast<std::size_t>(State::kAvailable)], answered)
      << "what was answered is there, and nothing else";
}

TEST_P(Server, NoCallLeavesATransactionOpen) {
  auto store = open(url());
  const auto expect_none_open = [&](const char* after) {
    EXPECT_EQ(kind().run(kind().open_transactions).at(0), "0") << after;
  };
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(insert(*store));
  expect_none_open("insert");
  const auto runs = claim(*store, 3);  // to the last row it asks for
  EXPECT_THAT(runs, SizeIs(3));
  expect_none_open("claim");
  EXPECT_THAT(claim(*store, 10), SizeIs(2));  // and past what there is
  EXPECT_THAT(claim(*store, 1), IsEmpty());
  expect_none_open("a claim of nothing");
  for (const auto& f : store->finish(finishes(runs))) EXPECT_TRUE(f.has_value());
  expect_none_open("finish");
  const std::vector<std::string> kinds = {"work"};
  EXPECT_TRUE(store->peek({{}, kinds, 10}));
  EXPECT_TRUE(store->monitor().list({}, JobId{}, 10));
  EXPECT_TRUE(store->monitor().counts());
  expect_none_open("reading");
  EXPECT_FALSE(store->monitor().job(JobId{999}));
  expect_none_open("a job that is not there");
}

// Under another isolation two claimers would fail where they pass each other by.
TEST_P(Server, TransactionsAreReadCommittedWhateverTheServersDefault) {
  const bool postgres = is_postgresql(kind());
  ASSERT_TRUE(open(url())) << "makes the tables";
  const AtEnd reset(
      kind(), postgres
                  ? "ALTER DATABASE carrel RESET default_transaction_isolation"
                  : "SET GLOBAL tx_isolation = DEFAULT, GLOBAL time_zone = 'SYSTEM'");
  kind().run("CREATE TABLE seen (isolation VARCHAR(99))");
  if (postgres) {
    kind().run(
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO"
        " seen VALUES (current_setting('transaction_isolation')); RETURN NEW; END $$;"
        "CREATE TRIGGER see BEFORE INSERT OR UPDATE ON carrel_jobs"
        " FOR EACH ROW EXECUTE FUNCTION see();"
        "CREATE TRIGGER see BEFORE INSERT ON carrel_history"
        " FOR EACH ROW EXECUTE FUNCTION see();"
        "ALTER DATABASE carrel SET default_transaction_isolation = 'serializable'");
  } else {
    const std::string sees =
        " ON carrel_jobs FOR EACH ROW INSERT INTO seen VALUES (CONCAT(LOWER(REPLACE("
        "@@tx_isolation, '-', ' ')), IF(@@time_zone = '+00:00', '', @@time_zone)))";
    kind().run("CREATE TRIGGER sees_inserts BEFORE INSERT" + sees);
    kind().run("CREATE TRIGGER sees_updates BEFORE UPDATE" + sees);
    kind().run("SET GLOBAL tx_isolation = 'SERIALIZABLE', GLOBAL time_zone = '+05:00'");
  }
  const auto store = open(url());
  ASSERT_TRUE(store);
  for (int i = 0; i < 2; ++i) {  // in a transaction, and as a statement alone
    EXPECT_TRUE(insert(*store));
    const auto runs = claim(*store, 1);
    ASSERT_THAT(runs, SizeIs(1));
    EXPECT_TRUE(store->finish(finishes(runs)).at(0));
  }
  EXPECT_EQ(kind().run("SELECT DISTINCT isolation FROM seen"),
            std::vector<std::string>{"read committed"});
}

TEST_P(Server, AnErrorDoesNotTellThePayload) {
  auto store = open(url());
  ASSERT_TRUE(insert(*store));
  kind().run("DROP TABLE carrel_jobs");
  const auto bad = insert(*store, job("my secret"));
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, Not(HasSubstr("secret")));
  EXPECT_THAT(bad.error().message, Not(HasSubstr("6d7920736563726574")));
  EXPECT_THAT(bad.error().message, HasSubstr("carrel_jobs"));
}

// The engine, by nothing but the URL.
TEST_P(Server, AnEngineRunsJobsOnIt) {
  Config config;
  config.store = url();
  config.log.level = LogLevel::kOff;
  Registry registry = Registry::with_builtins();
  register_sql(registry);
  auto engine = Engine::open(config, std::move(registry));
  ASSERT_TRUE(engine.has_value()) << engine.error().message;
  ASSERT_TRUE(engine->handle("add", [](Context& context) -> Result<Json> {
    return context.args().at("a").get<int>() + context.args().at("b").get<int>();
  }));
  ASSERT_TRUE(engine->start());
  const auto id = engine->enqueue("add", {{"a", 2}, {"b", 3}});
  ASSERT_TRUE(id.has_value()) << id.error().message;
  const auto result = engine->wait(*id, 60s);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  engine->stop(10s);
}

// To whom it cannot even be sent: the client library answers as where there is no more to
// read.
TEST(Mariadb, ACommitThatCannotBeSentIsAnError) {
  mariadb_kind().clean();
  auto settings = sql::mariadb::settings_of(Url::parse(mariadb().url()).value());
  ASSERT_TRUE(settings) << settings.error().message;
  sql::mariadb::MariadbDriver driver(*settings);
  const auto session = driver.connect_plainly();
  session->execute("START TRANSACTION; SELECT 1");
  session->cut();
  EXPECT_THROW(session->commit(), soci::mysql_soci_error);
  EXPECT_THROW(session->execute("SELECT 1"), soci::mysql_soci_error);
}

// libpq says COMMIT was done where a failed transaction was rolled back by it.
TEST(Postgres, ACommitThatRollsBackIsAnError) {
  sql::server::Watchdog dog(10s);
  const std::string connect = "host=127.0.0.1 user=carrel dbname=carrel port=" +
                              std::to_string(postgres().port());
  sql::postgresql::PostgresSession session(connect, true, dog);
  session.execute("BEGIN");
  EXPECT_THROW(session.execute("SELECT 1 / 0"), soci::soci_error);
  EXPECT_THROW(session.commit(), soci::soci_error);
}

}  // namespace
}  // namespace carrel::test
