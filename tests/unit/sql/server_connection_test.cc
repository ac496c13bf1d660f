// Connections to database servers: lost and stuck ones, what SOCI 4.0.3 and the clients
// are known to do wrong, and news between processes.
#include <carrel/engine.h>
#include <libpq-fe.h>
#include <poll.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/version.h>

#include <algorithm>
#include <future>
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

// "&listen=" and the URL of the server behind `proxy`.
std::string listening_at(const Kind& kind, const Proxy& proxy) {
  std::string line = kind.url(proxy.port());
  for (const auto& [from, to] : {std::pair(":", "%3A"), std::pair("/", "%2F")}) {
    for (std::size_t at = 0; (at = line.find(from, at)) != std::string::npos;) {
      line.replace(at, 1, to);
    }
  }
  return "&listen=" + line;
}

// Where news come by is a black hole: the poll is kept, as if there were no news.
TEST(Postgres, ThePollIsKeptWhileTheListenersLineIsDead) {
  const Kind kind = postgres_kind();
  kind.clean();
  Proxy hole(kind.port());
  hole.swallow();
  BackendOptions options;
  options.poll = 100ms;
  auto store =
      open_store(kind.url(kind.port()) + "?call_timeout=20s" + listening_at(kind, hole),
                 options)
          .value();
  static const std::vector<std::string> kWork = {"work"};
  auto claim = std::async(std::launch::async, [&] {
    return store->claim_source()->claim({{}, kWork, 1}, "w", 1, 30s, 60s);
  });
  while (hole.sent() == 0) std::this_thread::yield();  // it is about to connect
  auto other = open_store(kind.url(kind.port()) + "?listen=off").value();
  NewJob job;
  job.kind = "work";
  job.payload = "{}";
  ASSERT_TRUE(other->insert({&job, 1}, 60s)[0]);
  // An attempt to connect takes 3 s.
  EXPECT_EQ(claim.wait_for(2s), std::future_status::ready);
  store->interrupt();
  ASSERT_TRUE(claim.get());
  hole.pass();
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

// Without news, which are sent when it suits their thread.
TEST_P(Server, AnEnqueueIsOneRoundTripAndAClaimOneOrTwo) {
  Proxy proxy(kind().port());
  const bool postgres = kind().name == std::string("postgresql");
  auto store = open(url(proxy.port(), postgres ? "?listen=off" : ""));
  for (int i = 0; i < 3; ++i) {  // what is prepared, is
    ASSERT_TRUE(insert(*store));
    ASSERT_THAT(claim(*store, 1), SizeIs(1));
  }
  // The fewest of five: on a busy machine a second may pass in between, after which the
  // connection, and whether there are limits, is asked first.
  const auto round_trips = [&](auto call) {
    int fewest = 1'000'000;
    for (int i = 0; i < 5; ++i) {
      const int before = proxy.sent();
      call();
      fewest = std::min(fewest, proxy.sent() - before);
    }
    return fewest;
  };
  EXPECT_EQ(round_trips([&] { ASSERT_TRUE(insert(*store)); }), 1);
  // MariaDB: what it picks, and its mark with the commit.
  const int of_claim = postgres ? 1 : 2;
  EXPECT_EQ(round_trips([&] { ASSERT_THAT(claim(*store, 1), SizeIs(1)); }), of_claim);
  // One that finds nothing asks for jobs with limits, too.
  EXPECT_EQ(round_trips([&] { ASSERT_THAT(claim(*store, 1), IsEmpty()); }), of_claim + 1);
  ASSERT_TRUE(insert(*store));
  static const std::vector<std::string> kDefault = {"default"};
  static const std::vector<std::string> kKind = {"work"};
  const auto named = [&] {
    return store->claim_source()->claim({kDefault, kKind, 1}, "w", ++claims_, 30s, 0us);
  };
  ASSERT_THAT(named().value(), SizeIs(1));
  EXPECT_EQ(round_trips([&] { ASSERT_THAT(named().value(), IsEmpty()); }), of_claim + 1);
  // Two lanes are more than the statement chooses among.
  NewJob other = job();
  other.queue = "other";
  other.priority = -1;
  ASSERT_TRUE(insert(*store, other));
  ASSERT_TRUE(insert(*store));
  const auto best = claim(*store, 1);
  ASSERT_THAT(best, SizeIs(1));
  EXPECT_EQ(best[0].queue, "other");
}

// It has seen that there is nothing else; what nobody told of is for the next look.
TEST_P(Server, AClaimThatIsWokenAsksForThatLaneAlone) {
  const bool postgres = kind().name == std::string("postgresql");
  BackendOptions options;
  options.poll = 1h;
  auto store = open(url(postgres ? "?listen=off" : ""), options);
  const auto looks = [&] {
    return std::stol(
        kind()
            .run(postgres ? "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle'"
                            " AND query = 'COMMIT'"
                          : "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS"
                            " WHERE VARIABLE_NAME = 'COM_COMMIT'")
            .at(0));
  };
  while (postgres && looks() != 0) {  // the session that made the tables is leaving
    std::this_thread::yield();
  }
  const long all = looks() + 1;
  static const std::vector<std::string> kWork = {"work"};
  const auto source = store->claim_source();
  std::vector<Claimed> runs;
  std::thread waits([&] {
    auto claimed = source->claim({{}, kWork, 1}, "w", ++claims_, 30s, 60s);
    if (claimed) runs = std::move(*claimed);
  });
  for (const auto end = SteadyClock::now() + 30s;
       looks() < all && SteadyClock::now() < end;) {
    std::this_thread::yield();
  }
  kind().run(
      "INSERT INTO carrel_jobs (id, state, queue, kind, priority, enqueued_at, run_at,"
      " timeout_us, max_attempts) VALUES (1000000, 2, 'other', 'work', -1, 1, 1, 0, 1)");
  EXPECT_TRUE(insert(*store));
  waits.join();
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].queue, "default");
  runs = claim(*store, 1);
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].queue, "other");
}

// So rows go as one JSON parameter.
TEST(Soci, AVectorIsOneRoundTripAnElement) {
  if (SOCI_VERSION != 400003) GTEST_SKIP() << "another SOCI";
  postgres_kind().clean();
  Proxy proxy(postgres_kind().port());
  soci::session db(soci::postgresql, "host=127.0.0.1 user=carrel dbname=carrel port=" +
                                         std::to_string(proxy.port()));
  db << "CREATE TABLE t (n BIGINT)";
  std::vector<long long> numbers(50, 1);
  const int before = proxy.sent();
  db << "INSERT INTO t (n) VALUES (:n)", soci::use(numbers, "n");
  EXPECT_GE(proxy.sent() - before, 50);
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

// Until the listener is known to the server, a message is for nobody.
bool listens(const Kind& kind) {
  return kind.name != std::string("postgresql") ||
         kind.run(
                 "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN carrel'"
                 " AND state = 'idle'")
                 .at(0) == "1";
}
void until_it_listens(const Kind& kind) {
  while (!listens(kind)) std::this_thread::sleep_for(5ms);
}

// News come by themselves where there are any; else it is asked.
BackendOptions rarely_polling(const Kind& kind) {
  BackendOptions options;
  options.poll = kind.name == std::string("postgresql") ? Duration(1h) : Duration(50ms);
  return options;
}

const std::vector<std::string> kWork = {"work"};

TEST_P(Server, AClaimHearsOfWorkOfAnotherProcess) {
  auto waiting = open(url(), rarely_polling(kind()));
  auto other = open(url(), rarely_polling(kind()));
  auto found = std::async(std::launch::async, [&] {
    return waiting->claim_source()->claim({{}, kWork, 1}, "w", 1, 30s, 120s);
  });
  until_it_listens(kind());
  ASSERT_TRUE(insert(*other));
  const auto runs = found.get();
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  EXPECT_THAT(*runs, SizeIs(1));
}

TEST_P(Server, WhoFoundNothingBeforeHearsOfItToo) {
  auto waiting = open(url(), rarely_polling(kind()));
  auto other = open(url(), rarely_polling(kind()));
  const auto source = waiting->claim_source();
  std::uint64_t number = 0;
  do {  // where a look takes longer than that, nobody has waited yet
    const auto none = source->claim({{}, kWork, 1}, "w", ++number, 30s, 5ms);
    ASSERT_TRUE(none.has_value()) << none.error().message;
    EXPECT_THAT(*none, IsEmpty());
  } while (number < 3 || !listens(kind()));
  ASSERT_TRUE(insert(*other));
  const auto runs = source->claim({{}, kWork, 1}, "w", ++number, 30s, 120s);
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  EXPECT_THAT(*runs, SizeIs(1));
}

// What comes with the answer to what it tells others is not left for later.
TEST(Postgres, NewsThatComeWhileItTellsOthersAreHeard) {
  const Kind kind = postgres_kind();
  kind.clean();
  Proxy proxy(kind.port());
  const BackendOptions options = rarely_polling(kind);
  auto waiting =
      open_store(kind.url(kind.port()) + "?call_timeout=60s" + listening_at(kind, proxy),
                 options)
          .value();
  auto other = open_store(kind.url(kind.port()), options).value();
  NewJob job;
  job.payload = "{}";
  const auto insert = [&](Store& store, const char* of_kind) {
    job.kind = of_kind;
    ASSERT_TRUE(store.insert({&job, 1}, 60s)[0]);
  };
  const auto source = waiting->claim_source();
  std::uint64_t number = 0;
  const auto claim = [&](Duration wait) {
    auto runs = source->claim({{}, kWork, 1}, "w", ++number, 30s, wait);
    EXPECT_TRUE(runs.has_value()) << runs.error().message;
    return runs ? runs->size() : 0;
  };
  // It has looked for what it missed before it listened: from there on it only hears.
  do {
    claim(5ms);
  } while (!listens(kind));
  for (int i = 0; i < 2; ++i) {
    insert(*other, "work");
    EXPECT_EQ(claim(120s), 1U);
  }
  auto found = std::async(std::launch::async, [&] { return claim(20s); });
  EXPECT_EQ(found.wait_for(200ms), std::future_status::timeout) << "there is nothing";
  // Inserts, and returns when a listener has told of it.
  const auto insert_and_tell = [&](Store& store, const char* of_kind) {
    const std::string start = kind.run("SELECT clock_timestamp()").at(0);
    insert(store, of_kind);
    while (kind.run("SELECT count(*) FROM pg_stat_activity"
                    " WHERE query LIKE 'SELECT pg_notify%' AND state = 'idle'"
                    " AND query_start > '" +
                    start + "'")
               .at(0) == "0") {
      std::this_thread::sleep_for(5ms);
    }
  };
  proxy.hold_answers();
  insert_and_tell(*other, "work");
  insert_and_tell(*waiting, "nobody's");
  proxy.let_go();
  EXPECT_EQ(found.get(), 1U);
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

TEST(Mariadb, WhoGoesOnWaitingAsksNothing) {
  mariadb_kind().clean();
  BackendOptions options;
  options.poll = 10ms;
  auto store = open_store(mariadb().tcp_url(), options).value();
  const auto source = store->claim_source();
  const auto transactions = [] {
    return std::stoll(
        mariadb()
            .run("SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS"
                 " WHERE VARIABLE_NAME = 'COM_BEGIN'")
            .at(0));
  };
  const auto claim = [&](std::uint64_t number, Duration wait) {
    const auto none = source->claim({{}, kWork, 1}, "w", number, 30s, wait);
    ASSERT_TRUE(none.has_value()) << none.error().message;
    EXPECT_THAT(*none, IsEmpty());
  };
  const auto before = transactions();
  // Each waits for many polls: hardly one looks for itself, on a busy machine either.
  for (std::uint64_t number = 1; number <= 10; ++number) claim(number, 100ms);
  const auto looks = transactions() - before;
  EXPECT_LE(looks, 4);
  claim(11, 0us);
  EXPECT_EQ(transactions() - before, looks + 1) << "who does not wait always looks";
}

// A listener hears of many enqueues together: NOTIFY takes a lock of the whole server.
TEST(Postgres, NewsOfManyEnqueuesGoTogether) {
  const Kind kind = postgres_kind();
  kind.clean();
  const std::unique_ptr<PGconn, decltype(&PQfinish)> ear(
      PQconnectdb(kind.url(kind.port()).c_str()), &PQfinish);
  PQclear(PQexec(ear.get(), "LISTEN carrel"));
  auto store = open_store(kind.url(kind.port())).value();
  constexpr std::size_t kJobs = 300;
  NewJob job;
  job.kind = "work";
  job.payload = "{}";
  const auto start = SteadyClock::now();
  for (std::size_t i = 0; i < kJobs; ++i) ASSERT_TRUE(store->insert({&job, 1}, 60s)[0]);
  std::size_t told = 0;
  std::size_t messages = 0;
  while (told < kJobs) {
    pollfd fd{PQsocket(ear.get()), POLLIN, 0};
    ASSERT_EQ(::poll(&fd, 1, 60'000), 1) << "nothing more after " << told;
    ASSERT_EQ(PQconsumeInput(ear.get()), 1);
    for (PGnotify* one; (one = PQnotifies(ear.get())) != nullptr; PQfreemem(one)) {
      ++messages;
      const std::string text = one->extra;  // "w300\tdefault\twork\n"
      ASSERT_EQ(text.substr(0, 1), "w");
      told += std::stoul(text.substr(1));
    }
  }
  const auto elapsed = SteadyClock::now() - start;
  EXPECT_EQ(told, kJobs);
  EXPECT_LE(messages, static_cast<std::size_t>(elapsed / 5ms) + 2);
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
