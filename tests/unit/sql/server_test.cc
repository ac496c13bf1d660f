// The stores over database servers against real ones: lost and stuck connections, what
// SOCI 4.0.3 and the clients are known to do wrong, the schema, and news between
// processes. One server of each kind for all the cases.
#include <carrel/engine.h>
#include <carrel/sql.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "mariadb/statements.h"
#include "postgresql/session.h"
#include "postgresql/statements.h"
#include "servers/mariadb.h"
#include "servers/pgbouncer.h"
#include "servers/postgres.h"
#include "servers/proxy.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

std::unique_ptr<PostgresServer> postgres;
std::unique_ptr<MariadbServer> mariadb;

// What the cases need of either.
struct Kind {
  const char* name;
  std::function<std::string(int)> url;  // through a port
  std::function<int()> port;
  std::function<std::vector<std::string>(const std::string&)> run;
  std::function<void(const std::string&)> stop;
  std::function<void()> start;
  std::function<void()> clean;  // no tables
  const char* open_transactions;
  const char* dead_locks;  // so far
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

Kind postgres_kind() {
  return {"postgresql",
          [](int port) { return PostgresServer::tcp_url(port); },
          [] { return postgres->port(); },
          [](const std::string& sql) { return postgres->run(sql); },
          [](const std::string& signal) { postgres->stop(signal); },
          [] { postgres->start(); },
          [] { postgres->run("DROP SCHEMA public CASCADE; CREATE SCHEMA public"); },
          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'carrel'"
          " AND state LIKE 'idle in transaction%'",
          "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"};
}

Kind mariadb_kind() {
  return {"mariadb",
          [](int port) { return MariadbServer::tcp_url(port); },
          [] { return mariadb->port(); },
          [](const std::string& sql) { return mariadb->run(sql); },
          [](const std::string& signal) { mariadb->stop(signal); },
          [] { mariadb->start(); },
          [] { mariadb->run("DROP DATABASE carrel; CREATE DATABASE carrel"); },
          "SELECT COUNT(*) FROM information_schema.innodb_trx",
          "SELECT variable_value FROM information_schema.global_status"
          " WHERE variable_name = 'INNODB_DEADLOCKS'"};
}

Result<std::unique_ptr<Store>> open_store(const std::string& text,
                                          const BackendOptions& options = {}) {
  Registry registry;
  register_sql(registry);
  auto url = Url::parse(text);
  if (!url) return tl::unexpected(url.error());
  return (**registry.store(url->scheme))(*url, options);
}

class Server : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { kind().clean(); }

  const Kind& kind() const { return GetParam(); }
  std::string url(int port, const std::string& options = "") const {
    return kind().url(port) + options;
  }
  std::string url(const std::string& options = "") const {
    return url(kind().port(), options);
  }
  std::unique_ptr<Store> open(const std::string& text, const BackendOptions& o = {}) {
    auto store = open_store(text, o);
    EXPECT_TRUE(store.has_value()) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  static NewJob job(std::string payload = "{}") {
    NewJob job;
    job.kind = "work";
    job.payload = std::move(payload);
    return job;
  }
  static Result<Inserted> insert(Store& store, const NewJob& job = Server::job()) {
    return std::move(store.insert({&job, 1}, 60s).at(0));
  }
  std::vector<Claimed> claim(Store& store, std::size_t max) {
    static const std::vector<std::string> kWork = {"work"};
    auto runs = store.claim_source()->claim({{}, kWork, max}, "w", ++claims_, 30s, 0us);
    EXPECT_TRUE(runs.has_value()) << runs.error().message;
    return runs ? std::move(*runs) : std::vector<Claimed>{};
  }
  static std::vector<Finish> finishes(const std::vector<Claimed>& runs) {
    std::vector<Finish> all;
    for (const Claimed& run : runs) {
      Finish& finish = all.emplace_back();
      finish.lease = run.lease;
      finish.result = "\"done\"";
      finish.attempt = Attempt{};
    }
    return all;
  }
  // Asks again until it works; how long that took.
  template <class Ask>
  static SteadyClock::duration until_works(Ask ask) {
    const auto start = SteadyClock::now();
    for (;;) {
      const auto answer = ask();
      if (answer) break;
      EXPECT_EQ(answer.error().code, Code::kUnavailable) << answer.error().message;
      if (SteadyClock::now() - start > 60s) {
        ADD_FAILURE() << "it never works again: " << answer.error().message;
        break;
      }
      std::this_thread::sleep_for(10ms);  // the caller's own back-off
    }
    return SteadyClock::now() - start;
  }
  static SteadyClock::duration until_it_works(Store& store) {
    return until_works([&] { return insert(store); });
  }

  std::uint64_t claims_ = 0;
};

TEST_P(Server, ACallInABlackHoleIsFreedAndTheStoreComesBack) {
  Proxy proxy(kind().port());
  auto store = open(url(proxy.port(), "?call_timeout=1s"));
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

TEST_P(Server, ARestartedServerIsFoundAgain) {
  auto store = open(url());
  ASSERT_TRUE(insert(*store));
  for (const char* signal : {"QUIT", "KILL"}) {
    kind().stop(signal);
    const auto away = insert(*store);
    ASSERT_FALSE(away);
    EXPECT_EQ(away.error().code, Code::kUnavailable) << away.error().message;
    kind().start();
    EXPECT_LT(until_it_works(*store), 10s);
  }
  const auto counts = store->monitor().counts();
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->total[static_cast<std::size_t>(State::kAvailable)], 3U)
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

TEST_P(Server, ManyThatOpenAtOnceMakeTheTablesOnce) {
  std::vector<std::future<Result<std::unique_ptr<Store>>>> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(std::async(std::launch::async, [&] { return open_store(url()); }));
  }
  for (auto& one : all) {
    const auto store = one.get();
    EXPECT_TRUE(store.has_value()) << store.error().message;
  }
  EXPECT_EQ(kind().run("SELECT COUNT(*) - MAX(version) FROM carrel_schema").at(0), "0");
}

// A store of version 1, as its own program made it, with jobs in it.
TEST_P(Server, AnOlderSchemaIsBroughtForward) {
  {
    auto store = open(url());
    ASSERT_TRUE(insert(*store));
  }
  kind().run(
      "DROP TABLE carrel_limits; DROP TABLE carrel_limit_slots; DROP TABLE carrel_unique;"
      "DELETE FROM carrel_schema WHERE version > 1");
  const auto refused = open_store(url());
  ASSERT_FALSE(refused) << "only where it is asked for";
  EXPECT_THAT(refused.error().message, HasSubstr("carrel migrate"));
  Registry registry;
  register_sql(registry);
  const Url place = *Url::parse(url());
  const auto shown = (**registry.schema(place.scheme))(place, false);
  ASSERT_TRUE(shown.has_value()) << shown.error().message;
  EXPECT_EQ(shown->from, 1);
  EXPECT_EQ(shown->to, 3);
  EXPECT_THAT(shown->sql, AllOf(HasSubstr("carrel_limits"), HasSubstr("carrel_unique")));
  EXPECT_THAT(shown->sql, Not(HasSubstr("carrel_paused")));
  EXPECT_FALSE(open_store(url())) << "it was only shown";
  auto store = open(url("?migrate=on"));
  ASSERT_NE(store, nullptr);
  NewJob limited = job();
  limited.limit = Limit{"k", 1};
  ASSERT_TRUE(insert(*store, limited));
  ASSERT_TRUE(insert(*store, limited));
  EXPECT_THAT(claim(*store, 10), SizeIs(2)) << "the older job, and one of the key";
  EXPECT_EQ(kind().run(
                "SELECT usable_from FROM carrel_schema ORDER BY version DESC LIMIT 1")[0],
            "2")
      << "a program of version 2 goes on while newer ones are rolled out";
}

// Several processes' worth of writers at once, on keys that each of them holds in an
// order of its own: nobody may wait for a key while holding anything.
TEST_P(Server, ManyWorkersOnFewKeysDoNotDeadLock) {
  constexpr int kStores = 3;
  constexpr std::size_t kKeys = 5;
  constexpr int kLimit = 2;
  constexpr std::size_t kJobs = 60;  // of each producer
  std::vector<std::unique_ptr<Store>> stores;
  for (int i = 0; i < kStores; ++i) stores.push_back(open(url()));
  const auto before = std::stoll(kind().run(kind().dead_locks).at(0));
  std::atomic<std::size_t> ended{0};
  std::array<std::atomic<int>, kKeys> running{};
  std::atomic<int> most{0};
  std::vector<std::jthread> threads;
  for (int s = 0; s < kStores; ++s) {
    Store& store = *stores[static_cast<std::size_t>(s)];
    threads.emplace_back([&store, s] {  // many keys a batch, and a cancel between them
      for (std::size_t i = 0; i < kJobs; i += 4) {
        std::vector<NewJob> jobs;
        for (std::size_t k = 0; k < 4; ++k) {
          const std::size_t key = (i * 7 + k * (s + 1)) % kKeys;
          jobs.push_back(job(std::to_string(key)));
          jobs.back().limit = Limit{"key-" + std::to_string(key), kLimit};
        }
        auto answers = store.insert(jobs, 60s);
        for (const auto& answer : answers) {
          ASSERT_TRUE(answer.has_value()) << answer.error().message;
        }
        if (i % 20 == 0) {
          ASSERT_TRUE(store.cancel(std::array{answers[0]->id, answers[3]->id}));
        }
      }
    });
    for (int w = 0; w < 2; ++w) {
      threads.emplace_back([&, s, w] {
        static const std::vector<std::string> kWork = {"work"};
        const std::string name = std::to_string(s) + "-" + std::to_string(w);
        auto source = store.claim_source();
        for (std::uint64_t number = 1; ended < kStores * kJobs; ++number) {
          auto runs = source->claim({{}, kWork, 4}, name, number, 60s, 20ms);
          ASSERT_TRUE(runs.has_value()) << runs.error().message;
          for (const Claimed& run : *runs) {
            const int now = ++running[std::stoul(run.payload)];
            for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
            }
          }
          for (const Claimed& run : *runs) --running[std::stoul(run.payload)];
          for (const auto& answer : store.finish(finishes(*runs))) {
            ASSERT_TRUE(answer.has_value()) << answer.error().message;
          }
          const auto counts = store.monitor().counts();
          ASSERT_TRUE(counts.has_value()) << counts.error().message;
          ended = counts->total[static_cast<std::size_t>(State::kCompleted)] +
                  counts->total[static_cast<std::size_t>(State::kCancelled)];
        }
      });
    }
  }
  threads.clear();
  EXPECT_LE(most, kLimit);
  EXPECT_GT(most, 1) << "they did run beside each other";
  stores.clear();
  // MariaDB's SKIP LOCKED stands in line for a moment, in which its detector may see a
  // circle that is none: now and then somebody's transaction is done again.
  if (kind().name == std::string("postgresql")) {
    EXPECT_EQ(std::stoll(kind().run(kind().dead_locks).at(0)), before);
  }
}

TEST_P(Server, TablesAreOnlyMadeWhereThatIsAllowed) {
  const auto refused = open_store(url("?migrate=off"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("carrel migrate"));
  EXPECT_TRUE(open_store(url()).has_value());
  EXPECT_TRUE(open_store(url("?migrate=off")).has_value());
}

TEST_P(Server, ANewerSchemaIsUsedIfItSaysThatItCanBe) {
  open(url());
  kind().run("INSERT INTO carrel_schema (version, usable_from) VALUES (98, 1)");
  EXPECT_TRUE(open_store(url()).has_value());
  kind().run("INSERT INTO carrel_schema (version, usable_from) VALUES (99, 99)");
  const auto refused = open_store(url());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("99"));
}

TEST_P(Server, AnUnknownOptionIsRefused) {
  const auto refused = open_store(url("?colour=blue"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("colour"));
}

// Another process commits while this one waits.
TEST_P(Server, AClaimHearsOfWorkOfAnotherProcess) {
  BackendOptions options;
  // News come by themselves where there are any; else it is asked.
  options.poll = kind().name == std::string("postgresql") ? Duration(1h) : Duration(50ms);
  auto waiting = open(url(), options);
  auto other = open(url(), options);
  // Until the listener is known to the server, a message is for nobody.
  auto found = std::async(std::launch::async, [&] {
    static const std::vector<std::string> kWork = {"work"};
    return waiting->claim_source()->claim({{}, kWork, 1}, "w", 1, 30s, 120s);
  });
  if (kind().name == std::string("postgresql")) {
    while (kind()
               .run("SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN carrel'"
                    " AND state = 'idle'")
               .at(0) != "1") {
      std::this_thread::sleep_for(5ms);
    }
  }
  ASSERT_TRUE(insert(*other));
  const auto runs = found.get();
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  EXPECT_THAT(*runs, SizeIs(1));
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

#ifdef CARREL_COMMAND
// What the command prints; its exit code with `code`.
std::string command(const std::string& arguments, int* code) {
  const std::string line = std::string(CARREL_COMMAND) + " " + arguments + " 2>&1";
  std::FILE* pipe = ::popen(line.c_str(), "r");
  std::string said;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    said += static_cast<char>(c);
  }
  *code = WEXITSTATUS(::pclose(pipe));
  return said;
}

TEST_P(Server, TheCommandWorksOnIt) {
  const std::string store = "--store '" + url() + "' ";
  const auto expect = [&](const std::string& arguments, const std::string& text) {
    int code = -1;
    const std::string said = command(store + arguments, &code);
    EXPECT_EQ(code, 0) << arguments << ": " << said;
    EXPECT_THAT(said, HasSubstr(text)) << arguments;
  };
  expect("migrate --dry-run", "version 0 would become version 3");
  expect("migrate --sql", "carrel_history");
  expect("migrate --dry-run", "version 0 would become");  // printing changes nothing
  expect("migrate", "version 0 became version 3");
  expect("migrate", "nothing to do");
  expect("enqueue grade '{\"user\": 7}'", "1");
  expect("list", "grade");
  expect("--json show 1", R"("user":7)");
  expect("pause default", "");
  expect("status", "default");
  expect("cancel 1", "");
  expect("doctor", "seen by the network");
}
#endif

INSTANTIATE_TEST_SUITE_P(Of, Server, testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& kind) { return kind.param.name; });

// A pooler hands each transaction to another connection: nothing may be prepared or
// remembered on one.
TEST(Postgres, WorksBehindAPoolerOfTransactions) {
  if (!PgBouncer::missing().empty()) GTEST_SKIP() << PgBouncer::missing();
  postgres_kind().clean();
  const PgBouncer pooler(postgres->port());
  const std::string url =
      PostgresServer::tcp_url(pooler.port()) +
      "?prepare=off&listen=" + "postgresql%3A%2F%2Fcarrel%40127.0.0.1%3A" +
      std::to_string(postgres->port()) + "%2Fcarrel";
  std::vector<std::unique_ptr<Store>> stores;
  for (int i = 0; i < 3; ++i) {
    auto store = open_store(url);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    stores.push_back(std::move(*store));
  }
  constexpr std::size_t kJobs = 200;
  NewJob job;
  job.kind = "work";
  job.payload = std::string("a\0b", 3);
  for (const auto& in : stores[0]->insert(std::vector<NewJob>(kJobs, job), 60s)) {
    ASSERT_TRUE(in.has_value()) << in.error().message;
  }
  std::vector<std::future<std::size_t>> workers;
  for (auto& store : stores) {
    workers.push_back(std::async(std::launch::async, [&store = *store] {
      static const std::vector<std::string> kWork = {"work"};
      const auto source = store.claim_source();
      std::size_t done = 0;
      for (std::uint64_t number = 1;; ++number) {
        auto runs = source->claim({{}, kWork, 7}, "w", number, 30s, 0us);
        if (!runs || runs->empty()) return done;
        for (const Claimed& run : *runs) {
          EXPECT_EQ(run.payload.size(), 3U);
          Finish finish;
          finish.lease = run.lease;
          const auto answer = std::move(store.finish({&finish, 1}).at(0));
          EXPECT_TRUE(answer.has_value() && answer->kind == Finished::Kind::kApplied);
          ++done;
        }
      }
    }));
  }
  std::size_t done = 0;
  for (auto& worker : workers) done += worker.get();
  EXPECT_EQ(done, kJobs);
  const auto listed = stores[1]->monitor().list({}, JobId{}, 1000);
  ASSERT_TRUE(listed.has_value()) << listed.error().message;
  EXPECT_THAT(*listed, SizeIs(kJobs));
}

// libpq says COMMIT was done where a failed transaction was rolled back by it.
TEST(Postgres, ACommitThatRollsBackIsAnError) {
  sql::server::Watchdog dog(10s);
  const std::string connect =
      "host=127.0.0.1 user=carrel dbname=carrel port=" + std::to_string(postgres->port());
  sql::postgresql::PostgresSession session(connect, true, dog);
  session.execute("BEGIN");
  EXPECT_THROW(session.execute("SELECT 1 / 0"), soci::soci_error);
  EXPECT_THROW(session.commit(), soci::soci_error);
}

// The claim's cost must not grow with what it does not take.
std::string with_values(std::string sql) {
  const std::vector<std::pair<std::string, std::string>> values = {
      {":rows", R"('[{"queue":"default","kind":"work","most":10}]')"},
      {":ids", "'[1]'"},
      {":limit_key", "'k'"},
      {":lane", "'a'"},
      {":queue", "'default'"},
      {":kind", "'work'"},
      {":most", "10"},
      {":now", "1"},
      {":lease_end", "2"},
      {":claim_number", "1"},
      {":worker", "'w'"}};
  for (const auto& [name, value] : values) {
    for (std::size_t at = sql.find(name); at != std::string::npos;
         at = sql.find(name, at + value.size())) {
      sql.replace(at, name.size(), value);
    }
  }
  return sql;
}

TEST(Postgres, AClaimReadsTheIndexOfAvailableJobsInItsOrder) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres->url()));
  postgres->run("SET enable_seqscan = on; ANALYZE carrel_jobs");
  std::string plan;
  for (const auto& line :
       postgres->run("SET enable_seqscan = off; EXPLAIN " +
                     with_values(sql::postgresql::kStatements.claim_lanes))) {
    plan += line + "\n";
  }
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_available"));
  EXPECT_THAT(plan, Not(HasSubstr("Sort"))) << plan;
}

// However many jobs a key holds back.
TEST(Postgres, LimitsSeekInTheLineOfTheirKey) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres->url()));
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.limits_now, sql.count_line, sql.next_line, sql.pending_of_line,
        sql.limited_lanes, sql.best_of_limited}) {
    std::string plan;
    for (const auto& line :
         postgres->run("SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN " +
                       with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, testing::AnyOf(HasSubstr("carrel_limits_line"),
                                     HasSubstr("carrel_limits_available")));
    EXPECT_THAT(plan, Not(HasSubstr("Sort"))) << statement << plan;
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan on carrel_limits"))) << statement << plan;
  }
}

TEST(Mariadb, LimitsSeekInTheLineOfTheirKey) {
  mariadb_kind().clean();
  auto store = open_store(mariadb->url());
  ASSERT_TRUE(store);
  std::vector<NewJob> jobs(200);  // an empty table is not asked by its indexes
  for (NewJob& job : jobs) {
    job.kind = "work";
    job.limit = Limit{"k", 1};
  }
  for (const auto& answer : (*store)->insert(jobs, 60s)) ASSERT_TRUE(answer.has_value());
  const auto& sql = sql::mariadb::kStatements;
  for (const char* statement :
       {sql.limits_now, sql.count_line, sql.next_line, sql.pending_of_line,
        sql.limited_lanes, sql.best_of_limited}) {
    std::string plan;
    for (const auto& line :
         mariadb->run("EXPLAIN FORMAT=JSON " + with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, testing::AnyOf(HasSubstr("carrel_limits_line"),
                                     HasSubstr("carrel_limits_available")));
    EXPECT_THAT(plan, Not(HasSubstr("filesort"))) << statement << plan;
    EXPECT_THAT(plan, Not(testing::ContainsRegex(
                          "\"access_type\": \"index\",[^}]*\"key\": \"carrel_limits")))
        << statement << plan;
  }
}

// A scan would lock rows that nobody asked for; a small table gets one if it may.
TEST(Mariadb, RowsAreWrittenByTheirKeysAlone) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb->url()));
  const auto& sql = sql::mariadb::kStatements;
  for (const char* statement : {sql.mark, sql.renew, sql.save_jobs, sql.free_jobs,
                                sql.hold_jobs, sql.set_limits, sql.delete_tally}) {
    std::string plan;
    for (const auto& line :
         mariadb->run("EXPLAIN FORMAT=JSON " + with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, HasSubstr("\"access_type\": \"eq_ref\"")) << statement << plan;
  }
}

TEST(Mariadb, AClaimSortsNothing) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb->url()));
  std::string plan;
  for (const auto& line : mariadb->run(
           "EXPLAIN FORMAT=JSON " + with_values(sql::mariadb::kStatements.pick_lane))) {
    plan += line + "\n";
  }
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_available"));
  EXPECT_THAT(plan, Not(HasSubstr("filesort"))) << "it would lock every candidate";
}

}  // namespace
}  // namespace carrel::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  using namespace carrel::test;
  for (const std::string& missing :
       {PostgresServer::missing(), MariadbServer::missing()}) {
    if (missing.empty()) continue;
    std::cout << "skipped: " << missing << " is not installed\n";
    return 77;
  }
  postgres = std::make_unique<PostgresServer>();
  mariadb = std::make_unique<MariadbServer>();
  const int code = RUN_ALL_TESTS();
  postgres.reset();
  mariadb.reset();
  return code;
}
