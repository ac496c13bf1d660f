// A host's transaction holds a row or a key for as long as it likes: who needs that is
// told so, and nobody else waits for it.
#include <carrel/engine.h>

#include <array>
#include <atomic>
#include <future>
#include <iterator>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "server_case.h"

namespace carrel::test {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Held : public Server {
 protected:
  void SetUp() override {
    Server::SetUp();
    store_ = open(url());
    ASSERT_TRUE(store_);
  }
  // Until it is rolled back.
  std::unique_ptr<soci::session> hold(JobId id) const {
    auto host = kind().session();
    host->begin();
    *host << "UPDATE carrel_jobs SET priority = 1 WHERE id = " << value(id);
    return host;
  }
  // One that holds what it writes, and no more.
  std::unique_ptr<soci::session> host_session() const {
    auto host = kind().session();
    if (!is_postgresql(kind())) {  // else it would hold all that it reads
      *host << "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
    }
    return host;
  }
  std::unique_ptr<soci::session> hold_all_keys() const {
    auto host = kind().session();
    host->begin();
    soci::rowset<int> locked =
        (host->prepare << "SELECT slot FROM carrel_limit_slots ORDER BY slot FOR UPDATE");
    EXPECT_GT(std::distance(locked.begin(), locked.end()), 1000);
    return host;
  }
  std::vector<Claimed> insert_and_claim(std::size_t n, const NewJob& one = job()) {
    for (const auto& answer : store_->insert(std::vector<NewJob>(n, one), 60s)) {
      EXPECT_TRUE(answer.has_value());
    }
    auto runs = claim(*store_, n);
    EXPECT_THAT(runs, SizeIs(n));
    return runs;
  }
  // Those that were not finished, all because another holds what they need.
  std::set<JobId> left_of(const std::vector<Claimed>& runs) {
    std::set<JobId> left;
    const auto answers = store_->finish(finishes(runs));
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (answers[i]) {
        EXPECT_EQ(answers[i]->kind, Finished::Kind::kApplied);
        continue;
      }
      EXPECT_EQ(answers[i].error().code, Code::kUnavailable);
      EXPECT_THAT(answers[i].error().message, HasSubstr("another transaction holds"));
      left.insert(runs[i].lease.id);
    }
    return left;
  }
  static NewJob limited(std::uint32_t running = 10) {
    NewJob one = job();
    one.limit = Limit{"key", running};
    return one;
  }
  // Its claim cannot do without its keys: no place is reserved for one with a rate.
  static NewJob asking() {
    NewJob one = limited();
    one.rate = Rate{"rate", 100, 1h};
    return one;
  }

  std::unique_ptr<Store> store_;
};
INSTANTIATE_TEST_SUITE_P(Of, Held, testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

TEST_P(Held, ARowHoldsUpNoOtherEnd) {
  const auto runs = insert_and_claim(50);
  auto host = hold(runs[7].lease.id);
  EXPECT_EQ(left_of(runs), std::set{runs[7].lease.id});
  // A lock is waited for once: after that each who asks is told at once.
  const auto start = SteadyClock::now();
  constexpr int kOften = 10;
  for (int i = 0; i < kOften; ++i) EXPECT_THAT(left_of({runs[7]}), SizeIs(1));
  EXPECT_THAT(left_of(insert_and_claim(3)), IsEmpty());
  EXPECT_LT(SteadyClock::now() - start, kOften * 2s / 2);
  host->rollback();
  EXPECT_THAT(left_of({runs[7]}), IsEmpty());
  EXPECT_EQ(store_->monitor().job(runs[7].lease.id)->state, State::kCompleted);
}

TEST_P(Held, AKeyHoldsUpNoEndOfJobsWithoutIt) {
  auto runs = insert_and_claim(5, limited());
  const auto plain = insert_and_claim(5);
  std::set<JobId> expected;
  for (const Claimed& run : runs) expected.insert(run.lease.id);
  runs.insert(runs.begin() + 2, plain.begin(), plain.end());
  auto host = hold_all_keys();
  EXPECT_EQ(left_of(runs), expected);
  host->rollback();
  std::erase_if(runs,
                [&](const Claimed& run) { return !expected.contains(run.lease.id); });
  EXPECT_THAT(left_of(runs), IsEmpty());
}

TEST_P(Held, ABeatSucceedsBesideIt) {
  const auto runs = insert_and_claim(2);
  auto host = hold(runs[0].lease.id);
  auto finishing = std::async(std::launch::async, [&] { return left_of({runs[0]}); });
  until_it_waits_for("carrel_jobs");
  Beat beat;
  beat.lease = runs[1].lease;
  const auto pulses = store_->beat("w", 0, {&beat, 1}, true, 30s);
  ASSERT_TRUE(pulses.has_value()) << pulses.error().message;
  EXPECT_EQ(pulses->at(0), Pulse::kAlive);
  EXPECT_THAT(finishing.get(), SizeIs(1));
}

TEST_P(Held, ABeatRenewsNoRowThatItCannotHave) {
  const auto runs = insert_and_claim(2);
  const auto row = [&](const Claimed& run) {
    const JobRecord job = store_->monitor().job(run.lease.id).value();
    const auto lease_end = kind().run("SELECT wake_at FROM carrel_jobs WHERE id = " +
                                      std::to_string(value(run.lease.id)));
    return std::tuple(lease_end, job.log, job.checkpoint, job.progress.has_value());
  };
  std::vector<Beat> beats(2);
  for (std::size_t i = 0; i < beats.size(); ++i) {
    beats[i].lease = runs[i].lease;
    beats[i].log = "said\n";
    beats[i].checkpoint = "here";
    beats[i].progress = Progress{0.5F, "half"};
  }
  const auto as_claimed = row(runs[0]);
  const auto other_as_claimed = row(runs[1]);
  auto host = hold(runs[0].lease.id);
  for (const bool renew : {true, false}) {
    const auto pulses = store_->beat("w", 1, beats, renew, 1h);
    ASSERT_TRUE(pulses.has_value()) << pulses.error().message;
    EXPECT_THAT(*pulses, ElementsAre(Pulse::kHeld, Pulse::kAlive));
  }
  EXPECT_NE(row(runs[1]), other_as_claimed);
  host->rollback();
  EXPECT_EQ(row(runs[0]), as_claimed);
  beats.pop_back();
  const auto pulses = store_->beat("w", 0, beats, true, 1h);
  ASSERT_TRUE(pulses.has_value()) << pulses.error().message;
  EXPECT_THAT(*pulses, ElementsAre(Pulse::kAlive));
  const auto [lease_end, log, checkpoint, has_progress] = row(runs[0]);
  EXPECT_NE(lease_end, std::get<0>(as_claimed));
  EXPECT_EQ(log, "said\n") << "once";
  EXPECT_EQ(checkpoint, "here");
  EXPECT_TRUE(has_progress);
}

// A run that is no longer its worker's is not taken for held.
TEST_P(Held, ABeatTellsALostRunFromOneThatIsHeld) {
  const auto runs = insert_and_claim(1);
  auto host = hold(runs[0].lease.id);
  std::vector<Beat> beats(2);
  beats[0].lease = {runs[0].lease.id, Fence{value(runs[0].lease.fence) + 1}};
  beats[1].lease = {JobId{77'777}, Fence{1}};
  const auto pulses = store_->beat("w", 0, beats, true, 1h);
  ASSERT_TRUE(pulses.has_value()) << pulses.error().message;
  EXPECT_THAT(*pulses, Each(Pulse::kStale));
}

// A beat that waited behind it would come too late, for all runs of the worker.
TEST_P(Held, WhereLeasesAreShortAnEndWaitsForNoLock) {
  const auto runs = insert_and_claim(3);
  const auto took = [&](const std::vector<Claimed>& those) {
    const auto start = SteadyClock::now();
    left_of(those);
    return SteadyClock::now() - start;
  };
  auto first = hold(runs[0].lease.id);
  auto second = hold(runs[1].lease.id);
  Beat beat;
  beat.lease = runs[2].lease;
  ASSERT_TRUE(store_->beat("w", 0, {&beat, 1}, true, 2s));
  const auto hurried = took({runs[0]});
  ASSERT_TRUE(store_->beat("w", 0, {&beat, 1}, true, 30s));
  EXPECT_LT(2 * hurried, took({runs[1]}));
}

// More of them than it looks at once.
TEST_P(Held, ASweepFindsWhatIsDueBehindWhatIsHeld) {
  std::vector<NewJob> jobs(1'200, job());
  for (NewJob& later : jobs) later.delay = 1h;
  for (const auto& answer : store_->insert(jobs, 60s)) ASSERT_TRUE(answer.has_value());
  kind().run("UPDATE carrel_jobs SET wake_at = id");
  const auto last = store_->monitor().list({}, {}, 1).value().at(0).id;
  auto host = host_session();
  host->begin();
  *host << "UPDATE carrel_jobs SET priority = 1 WHERE id <> " << value(last);
  const auto swept = store_->sweep(10);
  ASSERT_TRUE(swept.has_value()) << swept.error().message;
  ASSERT_THAT(swept->due, SizeIs(1));
  EXPECT_EQ(swept->due[0].id, last);
  host->rollback();
}

TEST_P(Held, APurgeFindsWhatIsDueBehindWhatIsHeld) {
  const auto runs = insert_and_claim(1'200);
  for (const auto& answer : store_->finish(finishes(runs))) ASSERT_TRUE(answer);
  kind().run("UPDATE carrel_history SET wake_at = id");
  const auto last = store_->monitor().list({}, {}, 1).value().at(0).id;
  auto host = host_session();
  host->begin();
  *host << "UPDATE carrel_history SET priority = 1 WHERE id <> " << value(last);
  const auto swept = store_->sweep(10);
  ASSERT_TRUE(swept.has_value()) << swept.error().message;
  EXPECT_EQ(swept->purged, 1U);
  EXPECT_FALSE(store_->monitor().job(last).has_value());
  host->rollback();
  EXPECT_EQ(store_->sweep(10).value().purged, 10U) << "and no more than was asked for";
}

TEST_P(Held, AClaimThatFindsNothingElseIsEmpty) {
  ASSERT_TRUE(insert(*store_, asking()));
  auto host = hold_all_keys();
  const auto start = SteadyClock::now();
  constexpr int kOften = 10;
  for (int i = 0; i < kOften; ++i) EXPECT_THAT(claim(*store_, 1), IsEmpty());
  EXPECT_LT(SteadyClock::now() - start, kOften * 2s / 2) << "it waits for it once";
  ASSERT_TRUE(insert(*store_));
  EXPECT_THAT(claim(*store_, 2), SizeIs(1));
  host->rollback();
  EXPECT_THAT(claim(*store_, 2), SizeIs(1));
}

TEST_P(Held, AClaimOfTicketsGetsTheOthers) {
  const std::array tickets = {*insert(*store_, asking())->ticket,
                              *insert(*store_)->ticket};
  auto host = hold_all_keys();
  const auto some = store_->claim(tickets, "w", 101, 30s);
  ASSERT_TRUE(some.has_value()) << some.error().message;
  EXPECT_FALSE(some->at(0).has_value());
  EXPECT_TRUE(some->at(1).has_value());
  host->rollback();
  const auto rest = store_->claim(tickets, "w", 102, 30s);
  ASSERT_TRUE(rest.has_value()) << rest.error().message;
  EXPECT_TRUE(rest->at(0).has_value());
}

// The whole way: what ends beside it is completed, what comes is claimed, and the one is
// completed when it may be.
TEST_P(Held, AnEngineGoesOn) {
  Config config;
  config.store = url();
  config.worker.concurrency = 8;
  config.worker.beat = 50ms;
  config.log.level = LogLevel::kOff;
  Registry registry = Registry::with_builtins();
  register_sql(registry);
  Engine engine = Engine::open(config, registry).value();
  std::promise<void> runs;
  std::promise<void> is_held;
  auto held = is_held.get_future().share();
  std::atomic<int> attempts{0};
  engine.handle("one", [&, held](Context&) {
    if (++attempts == 1) runs.set_value();
    held.wait();
    return 7;
  });
  engine.handle("other", [held](Context&) { held.wait(); });
  ASSERT_TRUE(engine.start());
  std::vector<JobId> others;
  const auto more = [&](int n) {
    for (int i = 0; i < n; ++i) others.push_back(engine.enqueue("other").value());
  };
  const JobId id = engine.enqueue("one").value();
  more(20);
  runs.get_future().wait();
  auto host = hold(id);
  is_held.set_value();
  for (int round = 0; round < 5; ++round) {
    for (const JobId other : others) ASSERT_TRUE(engine.wait(other, 60s));
    more(20);
  }
  EXPECT_EQ(engine.job(id)->state, State::kRunning);
  host->rollback();
  EXPECT_EQ(engine.wait(id, 60s).value(), 7);
  engine.stop(10s);
  EXPECT_EQ(attempts, 1);
  EXPECT_EQ(engine.health()->stale, 0U);
}

// The server ends a statement that takes too long, here one that waits for a lock:
// nothing of what is done is lost.
TEST_P(Server, AStatementThatTookTooLongIsAskedAgain) {
  const bool postgres = is_postgresql(kind());
  const auto store = open(url());
  ASSERT_TRUE(insert(*store));
  const auto runs = claim(*store, 1);
  ASSERT_THAT(runs, SizeIs(1));
  const auto host = kind().session();
  host->begin();
  *host << "UPDATE carrel_jobs SET priority = 1";
  std::vector<Result<Finished>> late;
  {
    const AtEnd reset(kind(), postgres ? "ALTER DATABASE carrel RESET statement_timeout"
                                       : "SET GLOBAL max_statement_time = 0");
    kind().run(postgres ? "ALTER DATABASE carrel SET statement_timeout = 1000"
                        : "SET GLOBAL max_statement_time = 1");
    late = store->finish(finishes(runs));  // on a connection that is made now
  }
  ASSERT_THAT(late, SizeIs(1));
  ASSERT_FALSE(late[0].has_value());
  EXPECT_EQ(late[0].error().code, Code::kUnavailable) << late[0].error().message;
  host->rollback();
  const auto again = store->finish(finishes(runs));
  ASSERT_TRUE(again.at(0).has_value()) << again[0].error().message;
  EXPECT_EQ(again[0]->kind, Finished::Kind::kApplied);
}

// MariaDB counts the wait for a lock in whole seconds, and passes over nothing where that
// is none.
TEST_P(Server, ABeatPassesOverWhatIsLockedHoweverShortACallMayTake) {
  ASSERT_TRUE(open(url()));  // makes the tables, which may take longer
  auto store = open(url("?call_timeout=1s"));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(insert(*store));
  const auto runs = claim(*store, 2);
  ASSERT_THAT(runs, testing::SizeIs(2));
  auto host = kind().session();
  host->begin();
  *host << "UPDATE carrel_jobs SET priority = 1 WHERE id = " << value(runs[0].lease.id);
  const Beat beats[] = {{.lease = runs[0].lease}, {.lease = runs[1].lease}};
  const auto pulses = store->beat("w", claims_, beats, true, 30s);
  ASSERT_TRUE(pulses) << pulses.error().message;
  EXPECT_THAT(*pulses, testing::ElementsAre(Pulse::kHeld, Pulse::kAlive));
  host->rollback();
}

}  // namespace
}  // namespace carrel::test
