// Jobs in transactions of the host: enqueued and completed with its rows, or not at all.
// The same cases over SQLite, PostgreSQL and MariaDB.
#include <carrel/engine.h>
#include <carrel/sql.h>
#include <carrel/sql_transaction.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <soci/mysql/soci-mysql.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// clang-format off
#include <soci/callbacks.h>  // needs soci.h before it
// clang-format on

#include "fault/child.h"
#include "servers/mariadb.h"
#include "servers/postgres.h"
#include "sqlite_files.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::unique_ptr<PostgresServer> postgres;
std::unique_ptr<MariadbServer> mariadb;
std::unique_ptr<TemporaryDirectory> files;

// Far more than any machine needs; a test that comes this far has failed.
constexpr Duration kLong = 60s;

struct Kind {
  const char* name;
  const char* backend;  // SOCI's
  std::string (*url)();
  std::string (*connect)();
  void (*clean)();  // no tables
  sql::Dialect dialect;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

std::string file() { return files->file("jobs.db"); }

const Kind kSqlite{"sqlite",
                   "sqlite3",
                   [] { return "sqlite:" + file(); },
                   [] { return "dbname=\"" + file() + "\" timeout=10"; },
                   [] {
                     for (const char* part : {"", "-wal", "-shm", "-gate"}) {
                       std::filesystem::remove(file() + part);
                     }
                   },
                   sql::Dialect::kSqlite};
const Kind kPostgres{"postgresql",
                     "postgresql",
                     [] { return postgres->tcp_url(); },
                     [] {
                       return "host=127.0.0.1 user=carrel dbname=carrel port=" +
                              std::to_string(postgres->port());
                     },
                     [] {
                       postgres->run(
                           "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE datname = 'carrel' AND pid <> pg_backend_pid()");
                       postgres->run("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
                     },
                     sql::Dialect::kPostgresql};
const Kind kMariadb{"mariadb",
                    "mysql",
                    [] { return mariadb->tcp_url(); },
                    [] {
                      return "host=127.0.0.1 user=carrel dbname=carrel port=" +
                             std::to_string(mariadb->port());
                    },
                    [] { mariadb->run("DROP DATABASE carrel; CREATE DATABASE carrel"); },
                    sql::Dialect::kMariadb};

// A session that undoes what was not committed.
class Db {
 public:
  explicit Db(const Kind& kind) : session_(kind.backend, kind.connect()) {}
  soci::session& operator*() { return session_; }
  void begin() { session_ << (is("sqlite3") ? "BEGIN IMMEDIATE" : "BEGIN"); }
  void commit() { session_ << "COMMIT"; }
  void rollback() { session_ << "ROLLBACK"; }
  void charge(long long job) {
    session_ << "INSERT INTO ledger (job) VALUES (:job)", soci::use(job, "job");
  }
  long long number(const std::string& sql) {
    long long n = -1;
    session_ << sql, soci::into(n);
    return n;
  }
  bool is(const char* backend) { return session_.get_backend_name() == backend; }

 private:
  soci::session session_;
};

class Transaction : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    kind().clean();
    Db(kind()).operator*() << "CREATE TABLE ledger (job BIGINT)";
  }
  const Kind& kind() const { return GetParam(); }

  Config config() const {
    Config config;
    config.store = kind().url();
    config.worker.concurrency = 1;
    config.worker.poll = 50ms;
    config.defaults.retry.base = 1ms;
    config.log.level = LogLevel::kOff;
    return config;
  }
  static Engine open(Config config) {
    Registry registry = Registry::with_builtins();
    register_sql(registry);
    auto engine = Engine::open(std::move(config), std::move(registry));
    if (!engine) throw std::runtime_error(engine.error().message);
    return std::move(*engine);
  }
  // Its tables are there: on SQLite, making them would wait for the host's transaction.
  static Engine ignited(Config config) {
    Engine engine = open(std::move(config));
    if (auto ok = engine.ignite(); !ok) throw std::runtime_error(ok.error().message);
    return engine;
  }
  long long charged() { return Db(kind()).number("SELECT COUNT(*) FROM ledger"); }
  static std::uint64_t jobs(Engine& engine, State state) {
    return engine.health().value().counts.total[static_cast<std::size_t>(state)];
  }
};

TEST_P(Transaction, AJobComesWithTheHostsRows) {
  Engine engine = open(config());
  Db db(kind());
  engine.handle("work", [](Context& job) { return job.args(); });
  ASSERT_TRUE(engine.ignite());
  db.begin();
  db.charge(1);
  const auto job = sql::enqueue(engine, *db, "work", {{"n", 1}});
  ASSERT_TRUE(job) << job.error().message;
  ASSERT_TRUE(job->ticket);
  EXPECT_EQ(job->ticket->id, job->id);
  EXPECT_EQ(engine.job(job->id).error().code, Code::kNotFound) << "not committed yet";
  db.commit();
  EXPECT_EQ(charged(), 1);
  EXPECT_EQ(engine.job(job->id)->state, State::kAvailable);
  engine.publish(*job);
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(job->id, kLong).value(), (Json{{"n", 1}}));
}

TEST_P(Transaction, AJobGoesWithTheHostsRows) {
  Engine engine = ignited(config());
  Db db(kind());
  db.begin();
  db.charge(1);
  const auto job = sql::enqueue(engine, *db, "work", {}, {.request_id = "once"});
  ASSERT_TRUE(job) << job.error().message;
  db.rollback();
  EXPECT_EQ(charged(), 0);
  EXPECT_EQ(engine.job(job->id).error().code, Code::kNotFound);
  EXPECT_EQ(jobs(engine, State::kAvailable), 0U);
  engine.publish(*job);  // a ticket of a job that is not there does no harm
  const auto again = engine.enqueue("work", {}, {.request_id = "once"});
  ASSERT_TRUE(again) << "the request id went with it: " << again.error().message;
}

TEST_P(Transaction, NothingIsEnqueuedWhereNoTransactionIsOpen) {
  Engine engine = open(config());
  Db db(kind());
  const auto refused = sql::enqueue(engine, *db, "work");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("no transaction is open"));
  db.begin();
  db.commit();
  EXPECT_FALSE(sql::enqueue(engine, *db, "work")) << "it was closed again";
  EXPECT_EQ(jobs(engine, State::kAvailable), 0U);
}

TEST_P(Transaction, ASessionThatReconnectsByItselfIsRefused) {
  Engine engine = ignited(config());
  Db db(kind());
  soci::failover_callback callback;
  (*db).set_failover_callback(callback);
  db.begin();
  const auto refused = sql::enqueue(engine, *db, "work");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("failover callback"));
  db.rollback();
}

TEST_P(Transaction, WhatEnqueueKnowsHoldsHereToo) {
  Engine engine = ignited(config());
  Db db(kind());
  db.begin();
  const std::string large(5000, 'x');
  const std::vector<Request> requests = {
      {"work", large, {.priority = 3, .request_id = "a"}},
      {"work", "later", {.queue = "slow", .delay = 1h, .start_within = 1min}},
      {"work", "again", {.request_id = "a"}}};
  const auto made = sql::enqueue(engine, *db, requests);
  ASSERT_TRUE(made) << made.error().message;
  const auto known = sql::enqueue(engine, *db, "work", {}, {.request_id = "a"});
  ASSERT_TRUE(known) << known.error().message;
  db.commit();
  EXPECT_EQ((*made)[2].id, (*made)[0].id);
  EXPECT_TRUE((*made)[2].existed);
  EXPECT_EQ(known->id, (*made)[0].id);
  EXPECT_TRUE(known->existed);
  const JobRecord first = engine.job((*made)[0].id).value();
  EXPECT_EQ(first.payload, Json(large).dump());
  EXPECT_EQ(first.priority, 3);
  EXPECT_EQ(first.request_id, "a");
  EXPECT_FALSE((*made)[1].ticket);
  const JobRecord second = engine.job((*made)[1].id).value();
  EXPECT_EQ(second.state, State::kScheduled);
  EXPECT_EQ(second.queue, "slow");
  EXPECT_GE(second.run_at - second.enqueued, Duration(1h));
  ASSERT_TRUE(second.expires);
  EXPECT_EQ(*second.expires - second.run_at, Duration(1min));
}

TEST_P(Transaction, AnErrorWritesNothingAndLeavesTheTransactionAsItWas) {
  Engine engine = ignited(config());
  Db db(kind());
  db.begin();
  db.charge(1);
  const std::vector<Request> requests = {{"work", {}, {}}, {"bad\nname", {}, {}}};
  const auto refused = sql::enqueue(engine, *db, requests);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  // And one that the database refuses.
  *db << "ALTER TABLE carrel_jobs RENAME TO carrel_gone";
  if (db.is("mysql")) db.begin();  // where that ends a transaction
  const auto failed = sql::enqueue(engine, *db, "work", {{"my", "secret"}});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("carrel_jobs"));
  EXPECT_THAT(failed.error().message, Not(HasSubstr("secret")));
  *db << "ALTER TABLE carrel_gone RENAME TO carrel_jobs";
  if (db.is("mysql")) db.begin();
  const auto job = sql::enqueue(engine, *db, "work");
  ASSERT_TRUE(job) << job.error().message;
  db.commit();
  EXPECT_EQ(charged(), 1);
  EXPECT_EQ(jobs(engine, State::kAvailable), 1U);
}

TEST_P(Transaction, TheSessionOfAnotherDatabaseIsRefused) {
  const TemporaryDirectory elsewhere;
  Config other = config();
  other.store = "sqlite:" + elsewhere.file("other.db");
  Engine engine = open(other);
  Db db(kind());
  db.begin();
  const auto refused = sql::enqueue(engine, *db, "work");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("other.db"));
  db.rollback();
}

TEST_P(Transaction, PublishWakesWorkersThatPollRarely) {
  Config rarely = config();
  rarely.worker.poll = 1h;
  Engine engine = open(rarely);
  std::promise<void> ran;
  engine.handle("work", [&](Context&) { ran.set_value(); });
  ASSERT_TRUE(engine.start());
  Db db(kind());
  // Until the worker waits a ticket may come too early to be heard.
  auto done = ran.get_future();
  db.begin();
  const auto job = sql::enqueue(engine, *db, "work");
  ASSERT_TRUE(job) << job.error().message;
  db.commit();
  engine.publish(*job);
  EXPECT_EQ(done.wait_for(kLong), std::future_status::ready);
  engine.stop(10s);
}

TEST_P(Transaction, InInlineModePublishRunsTheJob) {
  Config inline_mode = config();
  inline_mode.mode = Mode::kInline;
  Engine engine = open(inline_mode);
  engine.handle("charge", [&](Context& job) -> Result<Json> {
    Db db(kind());
    db.begin();
    db.charge(1);
    if (auto ok = sql::complete(job, *db); !ok) return tl::unexpected(ok.error());
    db.commit();
    return Json();
  });
  std::vector<Verdict> verdicts;
  engine.on_finished([&](const Event& event) { verdicts.push_back(event.verdict); });
  ASSERT_TRUE(engine.ignite());
  Db db(kind());
  db.begin();
  const auto job = sql::enqueue(engine, *db, "charge");
  ASSERT_TRUE(job) << job.error().message;
  db.commit();
  engine.publish(*job);
  EXPECT_EQ(engine.job(job->id)->state, State::kCompleted);
  EXPECT_THAT(verdicts, ElementsAre(Verdict::kCompleted));
  EXPECT_EQ(charged(), 1);
}

// As a host's own client would run them: the parameters in their places.
std::string with_parameters(const sql::SqlStatement& statement, sql::Dialect dialect) {
  const auto literal = [&](const sql::SqlValue& value) -> std::string {
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      return std::to_string(*number);
    }
    if (const auto* text = std::get_if<std::string>(&value)) {
      std::string quoted = "'";
      for (const char c : *text) {
        if (c == '\'' || (c == '\\' && dialect == sql::Dialect::kMariadb)) quoted += c;
        quoted += c;
      }
      return quoted + "'";
    }
    return "NULL";
  };
  std::string sql;
  std::size_t next = 0;
  for (std::size_t i = 0; i < statement.text.size(); ++i) {
    if (statement.text[i] == '?') {
      sql += literal(statement.parameters.at(next++));
    } else if (statement.text[i] == '$') {
      std::size_t digits = 0;
      const int n = std::stoi(statement.text.substr(i + 1), &digits);
      sql += literal(statement.parameters.at(static_cast<std::size_t>(n) - 1));
      i += digits;
    } else {
      sql += statement.text[i];
    }
  }
  return sql;
}

TEST_P(Transaction, TheStatementsAreWhatEnqueueDoes) {
  Engine engine = open(config());
  ASSERT_TRUE(engine.ignite());
  const auto run = [&](const Json& args, const EnqueueOptions& options) {
    const auto made =
        sql::enqueue_statements(engine, kind().dialect, "work", args, options);
    if (!made) throw std::runtime_error(made.error().message);
    std::vector<std::string> answer;
    const auto ask = [&](const std::string& sql) {
      if (kind().dialect == sql::Dialect::kSqlite) return run_sql(file(), sql);
      if (kind().dialect == sql::Dialect::kPostgresql) return postgres->run(sql);
      return mariadb->run(sql);
    };
    for (const auto& statement : made->statements) {
      answer = ask(with_parameters(statement, kind().dialect));
    }
    EXPECT_THAT(answer, SizeIs(1));
    return std::pair(JobId{std::stoull(answer.at(0))}, made->ticket);
  };
  const auto [plain, ticket] = run({{"it's", "é\\"}}, {});
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->kind, "work");
  const auto [later, none] = run({}, {.delay = 1h, .start_within = 1min});
  EXPECT_FALSE(none);
  const auto [soon, with_expiry] = run({}, {.start_within = 1h});
  EXPECT_TRUE(with_expiry);
  const auto [asked, first] = run({{"n", 1}}, {.request_id = "it's"});
  const auto [again, second] = run({{"n", 2}}, {.request_id = "it's"});
  EXPECT_EQ(asked, again);

  const auto usual = engine.enqueue("work", {{"it's", "é\\"}}).value();
  const JobRecord want = engine.job(usual).value();
  const JobRecord got = engine.job(plain).value();
  EXPECT_EQ(got.payload, want.payload);
  EXPECT_EQ(got.state, want.state);
  EXPECT_EQ(got.queue, want.queue);
  EXPECT_EQ(got.max_attempts, want.max_attempts);
  EXPECT_EQ(got.run_at, got.enqueued);
  EXPECT_LT(want.enqueued - got.enqueued, Duration(1min)) << "the same clock";
  EXPECT_GT(want.enqueued - got.enqueued, Duration(-1min));
  const JobRecord scheduled = engine.job(later).value();
  EXPECT_EQ(scheduled.state, State::kScheduled);
  EXPECT_EQ(scheduled.run_at - scheduled.enqueued, Duration(1h));
  EXPECT_EQ(scheduled.expires.value() - scheduled.run_at, Duration(1min));
  EXPECT_EQ(engine.job(soon)->expires.value() - engine.job(soon)->run_at, Duration(1h));
  EXPECT_EQ(engine.job(asked)->request_id, "it's");
  EXPECT_EQ(engine.job(asked)->payload, R"({"n":1})");
  EXPECT_EQ(engine.enqueue("work", {}, {.request_id = "it's"}).value(), asked);
  // All of them can be claimed and run.
  engine.handle("work", [](Context&) {});
  Engine worker = open(config());
  worker.handle("work", [](Context&) {});
  EXPECT_EQ(worker.drain().value().completed, 4U);
  const auto limited = sql::enqueue_statements(engine, kind().dialect, "work", {},
                                               {.limit = Limit{"key", 1}});
  ASSERT_FALSE(limited);
  EXPECT_EQ(limited.error().code, Code::kUnsupported);
  const auto unique = sql::enqueue_statements(engine, kind().dialect, "work", {},
                                              {.unique = UniqueConfig{{"args"}}});
  ASSERT_FALSE(unique);
  EXPECT_EQ(unique.error().code, Code::kUnsupported);
}

TEST_P(Transaction, AUniqueJobIsReplacedWithTheHostsCommit) {
  Engine engine = open(config());
  ASSERT_TRUE(engine.ignite());
  EnqueueOptions replacing;
  replacing.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kReplace};
  const auto first = engine.insert("work", {{"n", 1}}, replacing).value();
  replacing.limit = Limit{"key", 1};
  Db db(kind());
  for (const bool commits : {false, true}) {
    db.begin();
    const auto again = sql::enqueue(engine, *db, "work", {{"n", 2}}, replacing);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->id, first.id);
    EXPECT_TRUE(again->replaced);
    commits ? db.commit() : db.rollback();
    const JobRecord job = engine.job(first.id).value();
    EXPECT_EQ(job.payload, commits ? R"({"n":2})" : R"({"n":1})");
    EXPECT_EQ(job.limit.has_value(), commits);
  }
  Engine worker = open(config());
  worker.handle("work", [](Context&) {});
  EXPECT_EQ(worker.drain().value().completed, 1U);
}

// What a handler does with its transaction, and what becomes of its job.
TEST_P(Transaction, AHandlersWritesAndItsCompletionCommitTogether) {
  Engine engine = open(config());
  std::atomic<int> runs{0};
  engine.handle("charge", [&](Context& job) -> Result<Json> {
    const std::string end = job.args();
    const bool again = job.attempt() > 1;
    ++runs;
    Db db(kind());
    db.begin();
    db.charge(static_cast<long long>(value(job.job().lease.id)));
    job.log("charging");
    if (auto ok = sql::complete(job, *db, {{"by", job.attempt()}}); !ok) {
      return tl::unexpected(ok.error());
    }
    if (end == "throws" && !again) throw std::runtime_error("before the commit");
    if (end == "rolls back" && !again) {
      db.rollback();
      return Json("nothing of it");
    }
    db.commit();
    if (end == "throws later") throw std::runtime_error("after the commit");
    if (end == "snoozes later") return Context::snooze(1h);
    return Json("not the result");
  });
  struct Told {
    Verdict verdict;
    State state;
    OutcomeClass klass;
  };
  std::mutex mutex;
  std::vector<Told> told;
  engine.on_finished([&](const Event& event) {
    const std::lock_guard lock(mutex);
    told.push_back({event.verdict, event.state, event.outcome.klass});
  });
  ASSERT_TRUE(engine.start());
  const auto ends = [&](const std::string& end, int attempts) {
    const auto id = engine.enqueue("charge", end).value();
    const auto result = engine.wait(id, kLong);
    ASSERT_TRUE(result) << end << ": " << result.error().message;
    EXPECT_EQ(*result, (Json{{"by", attempts}})) << end;
    const auto count =
        "SELECT COUNT(*) FROM ledger WHERE job = " + std::to_string(value(id));
    EXPECT_EQ(Db(kind()).number(count), 1) << end;
    const JobRecord job = engine.job(id).value();
    EXPECT_EQ(job.state, State::kCompleted) << end;
    EXPECT_THAT(job.attempts, SizeIs(attempts - 1)) << end;
  };
  ends("commits", 1);
  ends("throws", 2);
  ends("rolls back", 2);
  ends("throws later", 1);
  ends("snoozes later", 1);
  engine.stop(10s);
  EXPECT_EQ(runs, 7);
  std::size_t completed = 0;
  for (const Told& one : told) {
    if (one.state != State::kCompleted) continue;
    ++completed;
    EXPECT_EQ(one.verdict, Verdict::kCompleted);
    EXPECT_EQ(one.klass, OutcomeClass::kOk);
  }
  EXPECT_EQ(completed, 5U);
  EXPECT_EQ(told.size(), 7U);
  const Health health = engine.health().value();
  EXPECT_EQ(health.completed, 5U);
  EXPECT_EQ(health.failed, 2U);
  EXPECT_EQ(jobs(engine, State::kCompleted), 5U);
  const auto list = engine.list({}).value();
  EXPECT_THAT(list.at(0).log, HasSubstr("charging")) << "what no beat has carried";
}

TEST_P(Transaction, ARolledBackCompletionSaysSoInTheHistory) {
  Config once = config();
  once.defaults.max_attempts = 1;
  Engine engine = open(once);
  engine.handle("charge", [&](Context& job) -> Result<Json> {
    Db db(kind());
    db.begin();
    if (auto ok = sql::complete(job, *db); !ok) return tl::unexpected(ok.error());
    db.rollback();
    return Json();
  });
  const auto id = engine.enqueue("charge").value();
  ASSERT_TRUE(engine.drain());
  const JobRecord job = engine.job(id).value();
  EXPECT_EQ(job.state, State::kDiscarded);
  ASSERT_THAT(job.attempts, SizeIs(1));
  EXPECT_THAT(job.attempts[0].message, HasSubstr("did not commit"));
}

TEST_P(Transaction, ACompletedJobIsKeptAsLongAsTheStoreSays) {
  Config short_lived = config();
  short_lived.retention.completed = 0s;
  Engine engine = open(short_lived);
  engine.handle("charge", [&](Context& job) -> Result<Json> {
    Db db(kind());
    db.begin();
    if (auto ok = sql::complete(job, *db); !ok) return tl::unexpected(ok.error());
    db.commit();
    return Json();
  });
  const auto id = engine.enqueue("charge", {}, {.request_id = "a"}).value();
  EXPECT_EQ(engine.drain().value().completed, 1U);
  EXPECT_EQ(engine.job(id).error().code, Code::kNotFound);
  EXPECT_EQ(jobs(engine, State::kCompleted), 0U) << "the count goes with it";
  EXPECT_EQ(engine.health()->stale, 0U);
}

// A context apart from an engine, for runs that a test claims itself.
class NoSink final : public ContextSink {
 public:
  void progress(float, std::string_view) override {}
  void checkpoint(std::string_view) override {}
  void log(std::string_view) override {}
  std::stop_token stop() override { return {}; }
  bool stopping() override { return false; }
};

TEST_P(Transaction, WhoLostTheLeaseCompletesNothing) {
  Engine engine = open(config());
  const auto id = engine.enqueue("charge").value();
  Store& store = engine.store();
  const std::vector<std::string> kinds = {"charge"};
  const auto claim = [&](const char* worker) {
    auto runs = store.claim_source()->claim({{}, kinds, 1}, worker, 1, 1us, 0us);
    return runs && !runs->empty() ? std::move(runs->front()) : Claimed{};
  };
  const Claimed lost = claim("first");
  ASSERT_EQ(lost.lease.id, id);
  Claimed now;
  for (int i = 0; i < 1000 && now.lease.id != id; ++i) {
    ASSERT_TRUE(store.sweep(10));  // the lease was over at once
    now = claim("second");
  }
  ASSERT_EQ(now.lease.id, id);
  NoSink sink;
  Db db(kind());
  {
    Context job(lost, sink);
    db.begin();
    db.charge(1);
    const auto refused = sql::complete(job, *db, "mine");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kStale);
    db.rollback();
  }
  {
    Context job(now, sink);
    EXPECT_EQ(sql::complete(job, *db).error().code, Code::kInvalid);
    EXPECT_FALSE(job.is_completing_in_transaction()) << "nothing was written";
    db.begin();
    db.charge(2);
    ASSERT_TRUE(sql::complete(job, *db, "ours"));
    ASSERT_TRUE(sql::complete(job, *db, "twice does no harm"));
    db.commit();
    db.begin();
    Context late(lost, sink);
    EXPECT_EQ(sql::complete(late, *db).error().code, Code::kStale) << "also afterwards";
    db.rollback();
  }
  EXPECT_EQ(engine.wait(id, kLong).value(), "ours");
  EXPECT_EQ(charged(), 1);
}

TEST_P(Transaction, TheNextOfALimitIsSetFree) {
  Engine engine = open(config());
  ASSERT_TRUE(engine.ignite());
  if (!engine.store().traits().limits) GTEST_SKIP() << "this store counts no limits";
  Engine worker = open(config());
  worker.handle("charge", [&](Context& job) -> Result<Json> {
    Db db(kind());
    db.begin();
    db.charge(1);
    if (auto ok = sql::complete(job, *db); !ok) return tl::unexpected(ok.error());
    db.commit();
    return Json();
  });
  Db db(kind());
  db.begin();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(sql::enqueue(engine, *db, "charge", {}, {.limit = Limit{"key", 1}}));
  }
  db.commit();
  EXPECT_EQ(jobs(engine, State::kPending), 4U) << "behind the first";
  EXPECT_EQ(worker.drain().value().completed, 5U);
  EXPECT_EQ(charged(), 5);
}

// kill -9 of a forked child or of its whole worker, before and after the commit.
struct Kill {
  const char* isolation;
  const char* at;
};

TEST_P(Transaction, NothingTakesEffectTwiceHoweverItIsKilled) {
  Engine engine = open(config());
  ASSERT_TRUE(engine.ignite());
  for (const Kill kill : {Kill{"fork", "child before"}, Kill{"fork", "child after"},
                          Kill{"fork", "worker before"}, Kill{"fork", "worker after"},
                          Kill{"thread", "worker before"}, Kill{"thread", "worker after"},
                          Kill{"mutex", "nowhere"}, Kill{"fork", "nowhere"}}) {
    const std::string name = std::string(kill.isolation) + ", " + kill.at;
    SCOPED_TRACE(name);
    const auto start = [&] {
      fault::Child worker({TRANSACTION_WORKER, kind().url(), kill.isolation,
                           kind().backend, kind().connect()});
      EXPECT_EQ(worker.wait_line(), "ready");
      return worker;
    };
    fault::Child worker = start();
    const auto id = engine.enqueue("charge", kill.at).value();
    if (std::string(kill.at).starts_with("worker")) {
      const auto status = worker.wait_end(60s);
      ASSERT_TRUE(status) << "it was not killed";
      EXPECT_EQ(WTERMSIG(*status), SIGKILL);
      worker = start();
    }
    const auto result = engine.wait(id, kLong);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(*result, (Json{{"charged", value(id)}}));
    worker.end_input();
    EXPECT_EQ(worker.wait_end(60s), 0);
    const JobRecord job = engine.job(id).value();
    EXPECT_EQ(job.attempt, std::string(kill.at).ends_with("before") ? 2 : 1);
    const auto count =
        "SELECT COUNT(*) FROM ledger WHERE job = " + std::to_string(value(id));
    EXPECT_EQ(Db(kind()).number(count), 1) << "once";
  }
}

INSTANTIATE_TEST_SUITE_P(, Transaction, testing::Values(kSqlite, kPostgres, kMariadb),
                         [](const auto& of) { return std::string(of.param.name); });

TEST(PostgresTransaction, ATransactionThatHasFailedIsRefused) {
  kPostgres.clean();
  Config config;
  config.store = kPostgres.url();
  Registry registry = Registry::with_builtins();
  register_sql(registry);
  Engine engine = Engine::open(std::move(config), std::move(registry)).value();
  Db db(kPostgres);
  db.begin();
  EXPECT_THROW(*db << "SELECT 1 / 0", soci::soci_error);
  const auto refused = sql::enqueue(engine, *db, "work");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("roll it back"));
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
  soci::register_factory_sqlite3();
  soci::register_factory_postgresql();
  soci::register_factory_mysql();
  files = std::make_unique<TemporaryDirectory>();
  postgres = std::make_unique<PostgresServer>();
  mariadb = std::make_unique<MariadbServer>();
  const int code = RUN_ALL_TESTS();
  postgres.reset();
  mariadb.reset();
  files.reset();
  return code;
}
