// Jobs that come with the host's rows, or not at all.
#include <soci/postgresql/soci-postgresql.h>

#include <functional>
#include <future>
#include <vector>

// clang-format off
#include <soci/callbacks.h>  // needs soci.h before it
// clang-format on

#include "sqlite_files.h"
#include "transaction_case.h"

namespace carrel::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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

TEST_P(Transaction, PollingFindsWhatNobodyPublished) {
  Engine engine = open(config());
  engine.handle("work", [](Context& job) { return job.args(); });
  ASSERT_TRUE(engine.start());
  Db db(kind());
  for (int i = 0; i < 2; ++i) {  // the second while the worker waits for certain
    db.begin();
    const auto job = sql::enqueue(engine, *db, "work", i);
    ASSERT_TRUE(job) << job.error().message;
    db.commit();
    const auto result = engine.wait(job->id, kLong);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(*result, i);
  }
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

// One that came since the transaction first looked, and whose place in its limit is
// reserved: it stands as one without a limit does.
TEST_P(Transaction, AReplacedJobLeavesItsLimit) {
  Engine engine = ignited(config());
  Db db(kind());
  if (db.is("sqlite3")) GTEST_SKIP() << "there nobody else writes meanwhile";
  EnqueueOptions keyed;
  keyed.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kReplace};
  for (const std::string kind : {"to another", "to none"}) {
    keyed.limit = Limit{"key " + kind, 1};
    db.begin();
    db.number("SELECT COUNT(*) FROM carrel_jobs");
    const auto first = engine.insert(kind, {}, keyed).value();
    keyed.limit.reset();
    if (kind == "to another") keyed.limit = Limit{"other", 1};
    const auto again = sql::enqueue(engine, *db, kind, {}, keyed);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(again->replaced);
    EXPECT_EQ(again->id, first.id);
    db.commit();
    const auto now = engine.job(first.id).value().limit;
    ASSERT_EQ(now.has_value(), keyed.limit.has_value()) << kind;
    if (now) EXPECT_EQ(now->key, "other");
  }
}

// MariaDB's default isolation, REPEATABLE READ, shows the host what there was when it
// first looked.
TEST_P(Transaction, WhatOthersCommitMeanwhileIsSeen) {
  Engine engine = ignited(config());
  Db db(kind());
  if (db.is("sqlite3")) GTEST_SKIP() << "there nobody else writes meanwhile";
  EnqueueOptions keyed;
  keyed.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kSkip};
  const auto ended = engine.enqueue("ends", {}, keyed).value();
  db.begin();
  EXPECT_EQ(db.number("SELECT COUNT(*) FROM carrel_jobs"), 1) << "its snapshot";
  const auto known = engine.enqueue("work", {}, {.request_id = "r"}).value();
  const auto holder = engine.enqueue("work", {}, keyed).value();
  ASSERT_EQ(engine.cancel(ended).value(), Cancelled::kCancelled);
  const auto again = sql::enqueue(engine, *db, "work", {}, {.request_id = "r"});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(again->id, known);
  const auto met = sql::enqueue(engine, *db, "work", {}, keyed);
  ASSERT_TRUE(met) << met.error().message;
  EXPECT_TRUE(met->existed);
  EXPECT_EQ(met->id, holder);
  keyed.unique->on_conflict = OnConflict::kReplace;
  const auto replaced = sql::enqueue(engine, *db, "work", {{"n", 2}}, keyed);
  ASSERT_TRUE(replaced) << replaced.error().message;
  EXPECT_TRUE(replaced->replaced);
  EXPECT_EQ(replaced->id, holder);
  const auto fresh = sql::enqueue(engine, *db, "ends", {}, keyed);
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_FALSE(fresh->existed) << "the other is final by now";
  db.commit();
  EXPECT_EQ(jobs(engine, State::kAvailable), 3U);
  EXPECT_EQ(engine.job(holder)->payload, R"({"n":2})");
}

// What may never be committed is not counted.
TEST_P(Transaction, WhatIsReadUncommittedIsCountedByTheClaim) {
  Engine engine = ignited(config());
  Db db(kind());
  if (!db.is("mysql")) GTEST_SKIP() << "the others show nobody what is not committed";
  for (const std::string level : {"READ COMMITTED", "READ UNCOMMITTED"}) {
    *db << "SET SESSION TRANSACTION ISOLATION LEVEL " + level;
    db.begin();
    for (int i = 0; i < 2; ++i) {
      const auto job = sql::enqueue(engine, *db, "work", {}, {.limit = Limit{level, 1}});
      ASSERT_TRUE(job) << job.error().message;
    }
    db.commit();
  }
  EXPECT_EQ(jobs(engine, State::kPending), 1U) << "of the first two";
  EXPECT_EQ(jobs(engine, State::kAvailable), 3U);
  Engine worker = open(config());
  worker.handle("work", [](Context&) {});
  EXPECT_EQ(worker.drain().value().completed, 4U);
}

// A key that a job has just left, or is about to leave, keeps nobody from enqueueing.
TEST_P(Transaction, AUniqueJobHoldsUpNoOtherEnqueue) {
  Engine engine = ignited(config());
  Db db(kind());
  if (db.is("sqlite3")) GTEST_SKIP() << "there nobody else writes meanwhile";
  EnqueueOptions keyed;
  keyed.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kSkip};
  const auto ended = engine.enqueue("ends", {}, keyed).value();
  ASSERT_TRUE(engine.cancel(ended));
  db.begin();
  ASSERT_TRUE(sql::enqueue(engine, *db, "ends", {}, keyed));
  const auto other = engine.enqueue("work");
  ASSERT_TRUE(other) << other.error().message;
  db.commit();
  EXPECT_EQ(jobs(engine, State::kAvailable), 2U);
}

// The first holds one and asks for the other's: neither waits for ever, or for a database
// to find out.
TEST_P(Transaction, TwoThatWantEachOthersKeysAreToldToRollBack) {
  Engine engine = ignited(config());
  Db one(kind());
  if (one.is("sqlite3")) GTEST_SKIP() << "there nobody else writes meanwhile";
  Db other(kind());
  const auto enqueue = [&](Db& db, const char* key) {
    return sql::enqueue(engine, *db, "work", {}, {.limit = Limit{key, 1}});
  };
  one.begin();
  other.begin();
  ASSERT_TRUE(enqueue(one, "a"));
  ASSERT_TRUE(enqueue(other, "b"));
  const auto end = [&](Db& db, const char* key) {
    const auto answer = enqueue(db, key);
    if (answer) {
      db.commit();
      return true;
    }
    EXPECT_EQ(answer.error().code, Code::kUnavailable);
    EXPECT_THAT(answer.error().message, HasSubstr("roll back, and try again"));
    db.rollback();
    return false;
  };
  auto second = std::async(std::launch::async, [&] { return end(other, "a"); });
  const bool first = end(one, "b");
  const bool both = second.get() && first;
  EXPECT_FALSE(both);
  other.begin();
  EXPECT_TRUE(end(other, "a"));
}

TEST_P(Transaction, ASessionOfAnotherCharacterSetIsRefused) {
  Engine engine = ignited(config());
  Db db(kind());
  if (db.is("sqlite3")) GTEST_SKIP() << "its clients speak UTF-8";
  const bool postgresql = db.is("postgresql");
  const auto enqueue = [&] {
    return sql::enqueue(engine, *db, "work", {}, {.queue = "schön"});
  };
  *db << (postgresql ? "SET NAMES 'LATIN1'" : "SET NAMES latin1");
  db.begin();
  const auto refused = enqueue();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr(postgresql ? "LATIN1" : "latin1"));
  db.rollback();
  *db << (postgresql ? "SET NAMES 'UTF8'" : "SET NAMES utf8mb4");
  db.begin();
  const auto job = enqueue();
  ASSERT_TRUE(job) << job.error().message;
  db.commit();
  EXPECT_EQ(engine.job(job->id)->queue, "schön");
}

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
