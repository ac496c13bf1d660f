// Jobs that are completed with the writes of their handlers, or not at all.
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fault/child.h"
#include "transaction_case.h"

namespace carrel::test {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

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

// As one that is returned.
TEST_P(Transaction, AResultIsBoundedAsAReturnedOneIs) {
  constexpr std::size_t kBig = 9'000'000;  // MariaDB's server takes no such statement
  const bool fits = !Db(kind()).is("mysql");
  for (const Mode mode : {Mode::kNormal, Mode::kInline}) {
    Config small = config();
    small.mode = mode;
    small.jobs["charge"] = small.jobs["grow"] = small.defaults;
    small.jobs["charge"].result_limit = 1000;
    small.jobs["grow"].result_limit = 2 * kBig;
    Engine engine = open(small);
    const auto handler = [&](std::size_t bytes) {
      return [&, bytes](Context& job) -> Result<Json> {
        Db db(kind());
        db.begin();
        db.charge(1);
        if (auto ok = sql::complete(job, *db, std::string(bytes, 'x')); !ok) {
          return tl::unexpected(ok.error());
        }
        db.commit();
        return Json();
      };
    };
    engine.handle("charge", handler(2000));
    engine.handle("grow", handler(kBig));
    const auto end = [&](const std::string& kind) {
      const auto id = engine.enqueue(kind).value();
      if (mode != Mode::kInline) {
        EXPECT_TRUE(engine.drain());
      }
      return engine.job(id).value();
    };
    const JobRecord small_one = end("charge");
    EXPECT_EQ(small_one.state, State::kDiscarded);
    ASSERT_THAT(small_one.attempts, SizeIs(1));
    EXPECT_EQ(small_one.attempts[0].code, Code::kTooLarge);
    EXPECT_THAT(small_one.attempts[0].message,
                HasSubstr("the result has 2002 bytes; its limit is 1000"));
    EXPECT_EQ(charged(), 0);
    const JobRecord big_one = end("grow");
    EXPECT_EQ(big_one.state, fits ? State::kCompleted : State::kDiscarded);
    if (!fits) {
      EXPECT_THAT(big_one.attempts.at(0).message, HasSubstr("this store takes"));
    }
    *Db(kind()) << "DELETE FROM ledger";
  }
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

// From its commit on, also where its worker is killed then; but until that would have
// been heard of, not less than ten minutes.
TEST_P(Transaction, ACompletionThatNothingFollowsIsKeptAsConfigured) {
  for (const auto& [configured, kept] : {std::pair<Duration, Duration>{3h, 3h},
                                         std::pair<Duration, Duration>{0s, 10min}}) {
    Config config = this->config();
    config.retention.completed = configured;
    Engine engine = open(config);
    std::atomic<long long> stored{0};
    engine.handle("charge", [&](Context& job) -> Result<Json> {
      Db db(kind());
      db.begin();
      if (auto ok = sql::complete(job, *db); !ok) return tl::unexpected(ok.error());
      db.commit();
      const std::string table = db.is("sqlite3") ? "carrel_jobs" : "carrel_history";
      stored = db.number("SELECT wake_at - ended_at FROM " + table +
                         " WHERE id = " + std::to_string(value(job.job().lease.id)));
      return Json();
    });
    ASSERT_TRUE(engine.enqueue("charge"));
    EXPECT_EQ(engine.drain().value().completed, 1U);
    EXPECT_EQ(stored, kept.count());
  }
}

// Its row is locked until the handler commits: the worker's other jobs go on, and its own
// lease, which nobody can renew, takes nothing from it.
TEST_P(Transaction, AnOpenCompletionHoldsUpNoOtherJob) {
  Config brief = config();
  brief.worker.concurrency = 2;
  brief.worker.beat = 20ms;
  brief.worker.lease = 600ms;
  Engine engine = open(brief);
  std::promise<void> completed;
  std::promise<void> commit;
  std::atomic<int> runs{0};
  engine.handle("charge", [&](Context& job) -> Result<Json> {
    ++runs;
    Db db(kind());
    db.begin();
    db.charge(1);
    job.log("charging");
    if (auto ok = sql::complete(job, *db); !ok) return tl::unexpected(ok.error());
    completed.set_value();
    commit.get_future().wait();
    db.commit();
    return Json();
  });
  engine.handle("work", [](Context&) {});
  ASSERT_TRUE(engine.ignite());
  if (Db(kind()).is("sqlite3")) GTEST_SKIP() << "there nobody else writes meanwhile";
  ASSERT_TRUE(engine.start());
  const auto charge = engine.enqueue("charge").value();
  completed.get_future().wait();
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < 2 * brief.worker.lease) {
    const auto id = engine.enqueue("work").value();
    const auto ended = engine.wait(id, 2s);
    EXPECT_TRUE(ended) << ended.error().message;
    if (!ended) break;
  }
  commit.set_value();
  EXPECT_TRUE(engine.wait(charge, kLong));
  engine.stop(10s);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(charged(), 1);
  EXPECT_EQ(engine.health()->stale, 0U);
  EXPECT_THAT(engine.job(charge)->log, HasSubstr("charging"));
}

// The completion holds the job's row for as long as the host likes: whoever cancels it is
// told so, and who enqueues beside that is not kept from it.
TEST_P(Transaction, ACancelDoesNotWaitForAnOpenCompletion) {
  Engine engine = ignited(config());
  Db db(kind());
  if (db.is("sqlite3")) GTEST_SKIP() << "there nobody else writes meanwhile";
  const auto id = engine.enqueue("charge").value();
  const Claimed run = claim(engine, "charge");
  NoSink sink;
  Context job(run, sink);
  db.begin();
  ASSERT_TRUE(sql::complete(job, *db));
  const auto start = std::chrono::steady_clock::now();
  auto cancelling = std::async(std::launch::async, [&] { return engine.cancel(id); });
  while (cancelling.wait_for(0s) != std::future_status::ready) {
    const auto other = engine.enqueue("work");
    ASSERT_TRUE(other) << other.error().message;
  }
  const auto refused = cancelling.get();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 20s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("another transaction holds"));
  db.rollback();
  EXPECT_EQ(engine.cancel(id).value(), Cancelled::kRequested);
}

// Beats find the row held, or gone where they come between the commit and the finish:
// what they carried goes with the finish.
TEST_P(Transaction, WhatWasSaidDuringAnOpenCompletionIsInTheLog) {
  Engine engine = ignited(config());
  Db db(kind());
  if (db.is("sqlite3")) GTEST_SKIP() << "there nobody else writes meanwhile";
  const auto id = engine.enqueue("charge").value();
  Store& store = engine.store();
  const Claimed run = claim(engine, "charge");
  NoSink sink;
  Context job(run, sink);
  db.begin();
  ASSERT_TRUE(sql::complete(job, *db));
  Beat beat;
  beat.lease = run.lease;
  beat.log = "charging\n";
  const auto pulse = [&] {
    const auto pulses = store.beat("w", 1, {&beat, 1}, false, Duration(1h));
    return pulses ? pulses->at(0) : throw std::runtime_error(pulses.error().message);
  };
  EXPECT_EQ(pulse(), Pulse::kHeld);
  db.commit();
  EXPECT_EQ(pulse(), Pulse::kStale);
  Finish finish;
  finish.lease = beat.lease;
  finish.verdict = Verdict::kRetry;  // as the engine says, in case of a rollback
  finish.log = beat.log + "charged\n";
  const auto finished = std::move(store.finish({&finish, 1}).front());
  ASSERT_TRUE(finished) << finished.error().message;
  EXPECT_EQ(finished->kind, Finished::Kind::kAlready);
  EXPECT_EQ(engine.job(id)->log, "charging\ncharged\n");
}

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

// One that the host's transaction, which has looked before, does not know of; and nothing
// is reported, as where the worker is killed after the commit.
TEST_P(Transaction, WhoCameMeanwhileIsSetFreeToo) {
  Engine engine = ignited(config());
  Db db(kind());
  if (db.is("sqlite3")) GTEST_SKIP() << "there nobody else writes meanwhile";
  EnqueueOptions limited;
  limited.limit = Limit{"key", 1};
  ASSERT_TRUE(engine.enqueue("charge", {}, limited));
  const Claimed run = claim(engine, "charge");
  db.begin();
  EXPECT_EQ(db.number("SELECT COUNT(*) FROM carrel_limits"), 1) << "its snapshot";
  const auto next = engine.enqueue("charge", {}, limited).value();
  EXPECT_EQ(engine.job(next)->state, State::kPending);
  NoSink sink;
  Context job(run, sink);
  const auto done = sql::complete(job, *db);
  ASSERT_TRUE(done) << done.error().message;
  db.commit();
  EXPECT_EQ(engine.job(next)->state, State::kAvailable);
}

TEST_P(Transaction, ARateHoldsFromTheHostsCommitOn) {
  Engine engine = open(config());
  ASSERT_TRUE(engine.ignite());
  Db db(kind());
  std::vector<JobId> ids;
  for (const bool commits : {false, true}) {
    db.begin();
    for (int i = 0; i < 3; ++i) {
      const auto job =
          sql::enqueue(engine, *db, "work", {}, {.rate = Rate{"key", 2, Duration(1h)}});
      ASSERT_TRUE(job) << job.error().message;
      EXPECT_EQ(job->ticket.has_value(), i < 2) << i;
    }
    commits ? db.commit() : db.rollback();
  }
  EXPECT_EQ(jobs(engine, State::kAvailable), 2U);
  EXPECT_EQ(jobs(engine, State::kPending), 1U);
  Engine worker = open(config());
  worker.handle("work", [](Context&) {});
  ASSERT_TRUE(worker.start());
  while (jobs(engine, State::kCompleted) < 2) std::this_thread::yield();
  EXPECT_EQ(jobs(engine, State::kPending), 1U);
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
  // What MariaDB's REPEATABLE READ counts is of the past: there the claim finds them.
  EXPECT_EQ(jobs(engine, State::kPending), db.is("mysql") ? 0U : 4U)
      << "behind the first";
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

TEST_P(Transaction, AForkedChildKnowsTheLimitOfItsResult) {
  Engine engine = ignited(config());
  fault::Child worker(
      {TRANSACTION_WORKER, kind().url(), "fork", kind().backend, kind().connect()});
  EXPECT_EQ(worker.wait_line(), "ready");
  const auto id = engine.enqueue("charge", "too long").value();
  EXPECT_FALSE(engine.wait(id, kLong));
  const JobRecord job = engine.job(id).value();
  EXPECT_EQ(job.state, State::kDiscarded);
  ASSERT_THAT(job.attempts, SizeIs(1));
  EXPECT_THAT(job.attempts[0].message, HasSubstr("its limit is 1048576"));
  EXPECT_EQ(charged(), 0);
  worker.end_input();
  EXPECT_EQ(worker.wait_end(60s), 0);
}

// It may do the same to every worker there is.
TEST_P(Transaction, AJobThatKillsItsChildEachTimeIsDiscarded) {
  Engine engine = open(config());
  ASSERT_TRUE(engine.ignite());
  fault::Child worker(
      {TRANSACTION_WORKER, kind().url(), "fork", kind().backend, kind().connect()});
  EXPECT_EQ(worker.wait_line(), "ready");
  const auto id = engine.enqueue("charge", "child always").value();
  EXPECT_FALSE(engine.wait(id, kLong));
  const JobRecord job = engine.job(id).value();
  EXPECT_EQ(job.state, State::kDiscarded);
  EXPECT_EQ(job.attempt, 3) << "max_crashes; there are more attempts";
  EXPECT_LT(job.attempt, job.max_attempts);
  ASSERT_THAT(job.attempts, SizeIs(3));
  EXPECT_EQ(job.attempts.back().klass, OutcomeClass::kCrashed);
  EXPECT_EQ(charged(), 0);
  worker.end_input();
  EXPECT_EQ(worker.wait_end(60s), 0);
}

}  // namespace
}  // namespace carrel::test
