// Several processes' worth of writers at once.
#include <carrel/engine.h>

#include <array>
#include <atomic>
#include <future>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "crowd.h"
#include "server/rows.h"
#include "server_case.h"
#include "servers/proxy.h"

namespace carrel::test {
namespace {

class ServerPurge : public Server {
 protected:
  // The beginning of what locks rows, as it is sent: the counters of limits; jobs that
  // are due; final ones that are to be purged.
  std::string text_of_try_slots() const {
    return sent(driver_of(url())->statements().try_slots);
  }
  std::string text_of_try_jobs() const {
    return sent(driver_of(url())->statements().try_jobs);
  }
  std::string text_of_try_history() const {
    return sent(driver_of(url())->statements().try_history);
  }
  static std::string sent(const std::string& text) {
    return text.substr(0, text.find(":ids"));
  }
  std::unique_ptr<Store> open_through(const Proxy& proxy, const BackendOptions& options) {
    return open(url(proxy.port(), is_postgresql(kind()) ? "?listen=off" : ""), options);
  }
};
INSTANTIATE_TEST_SUITE_P(Of, ServerPurge,
                         testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

// One that waits, for what a host's transaction holds, holds up no other work.
TEST_P(Server, AClaimDoesNotWaitForAFinish) {
  auto store = open(url());
  ASSERT_TRUE(insert(*store));
  const auto first = claim(*store, 1);
  ASSERT_EQ(first.size(), 1U);
  ASSERT_TRUE(insert(*store));
  auto host = kind().session();
  host->begin();
  *host << "UPDATE carrel_jobs SET priority = 1 WHERE id = " << value(first[0].lease.id);
  std::atomic<bool> answered{false};
  std::thread finisher([&] {
    const auto answers = store->finish(finishes(first));
    EXPECT_TRUE(answers.at(0).has_value());
    answered = true;
  });
  until_it_waits_for("carrel_jobs");
  EXPECT_EQ(claim(*store, 1).size(), 1U);
  EXPECT_FALSE(answered);
  host->rollback();
  finisher.join();
}

// The next to fall due is a run whose lease is to be renewed, whatever becomes of the
// process that sweeps.
TEST_P(Server, ASweepHoldsNothingThatIsNotDue) {
  auto store = open(url());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(insert(*store));
  const auto runs = claim(*store, 3);
  ASSERT_EQ(runs.size(), 3U);
  const std::string due = std::to_string(value(runs[0].lease.id));
  kind().run("UPDATE carrel_jobs SET wake_at = 1 WHERE id = " + due);
  const auto driver = driver_of(url());
  const auto sweeper = driver->connect();
  sweeper->begin();
  const long long now = 2;
  const int most = 10;
  const int passed = 0;
  long long id = 0;
  sweeper->soci() << driver->statements().due_jobs, soci::use(now, "now"),
      soci::use(most, "most"), soci::use(passed, "passed"), soci::into(id);
  EXPECT_EQ(std::to_string(id), due);
  const auto others = kind().session();
  others->begin();
  long long free = 0;
  *others << "SELECT COUNT(*) FROM (SELECT id FROM carrel_jobs WHERE id <> " + due +
                 " FOR UPDATE SKIP LOCKED) AS free",
      soci::into(free);
  EXPECT_EQ(free, 2);
}

// The next to be purged, and the oldest of each state, are looked at by operators, and
// may be retried.
TEST_P(Server, APurgeHoldsNothingThatStays) {
  auto store = open(url());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(insert(*store));
  const auto runs = claim(*store, 3);
  ASSERT_EQ(runs.size(), 3U);
  for (auto& end : store->finish(finishes(runs))) ASSERT_TRUE(end.has_value());
  const std::string due = std::to_string(value(runs[0].lease.id));
  kind().run("UPDATE carrel_history SET wake_at = 1 WHERE id = " + due);
  const auto driver = driver_of(url());
  const auto others = kind().session();
  const auto holds_no_other = [&](const std::function<void(soci::session&)>& look) {
    const auto sweeper = driver->connect();
    sweeper->begin();
    look(sweeper->soci());
    others->begin();
    long long free = 0;
    *others << "SELECT COUNT(*) FROM (SELECT id FROM carrel_history WHERE id <> " + due +
                   " FOR UPDATE SKIP LOCKED) AS free",
        soci::into(free);
    others->rollback();
    sweeper->rollback();
    return free == 2;
  };
  const auto& sql = driver->statements();
  const int most = 1;
  long long id = 0;
  EXPECT_TRUE(holds_no_other([&](soci::session& session) {
    const long long now = 2;
    const int many = 10;
    const int passed = 0;
    session << sql.due_history, soci::use(now, "now"), soci::use(many, "most"),
        soci::use(passed, "passed"), soci::into(id);
  }));
  EXPECT_EQ(std::to_string(id), due);
  EXPECT_TRUE(holds_no_other([&](soci::session& session) {
    const int state = 5;
    long long ended = 0;
    session << sql.oldest_history, soci::use(state, "state"), soci::use(most, "most"),
        soci::into(id), soci::into(ended);
  }));
  EXPECT_EQ(std::to_string(id), due);
}

// As two processes would, each of which does not see yet that the other purges.
TEST_P(Server, WhatIsHeldOfTheOldestIsNotReplacedByNewer) {
  BackendOptions few;
  few.retention.max_rows = 5;
  auto store = open(url(), few);
  std::vector<JobId> ids;
  for (int i = 0; i < 8; ++i) {
    ids.push_back(insert(*store)->id);
    for (auto& end : store->finish(finishes(claim(*store, 1)))) ASSERT_TRUE(end);
  }
  NewJob later = job();
  later.delay = 1h;
  const auto sweep = [&] {  // which has something to do
    const std::string due = std::to_string(value(insert(*store, later)->id));
    kind().run("UPDATE carrel_jobs SET wake_at = 1 WHERE id = " + due);
    return store->sweep(100).value().purged;
  };
  const auto other = kind().session();
  other->begin();
  long long held = 0;
  *other << "SELECT COUNT(*) FROM (SELECT id FROM carrel_history WHERE id <= " +
                std::to_string(value(ids[2])) + " FOR UPDATE) AS held",
      soci::into(held);
  ASSERT_EQ(held, 3);
  EXPECT_EQ(sweep(), 0U);
  other->rollback();
  EXPECT_EQ(sweep(), 3U);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(store->monitor().job(ids[i]).has_value(), i >= 3) << i;
  }
}

// A purge on MariaDB, and everybody's look for the oldest, lock nothing: what they have
// looked at may be retried before they lock it, and may have ended anew by then.
TEST_P(ServerPurge, WhatIsRetriedWhileAPurgeLooksIsKept) {
  if (is_postgresql(kind())) GTEST_SKIP() << "it locks what it looks at";
  const auto other = open(url());
  std::vector<JobId> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(insert(*other)->id);
  for (auto& end : other->finish(finishes(claim(*other, 3)))) ASSERT_TRUE(end);
  kind().run("UPDATE carrel_history SET wake_at = 1");
  bool changed = false;
  Proxy proxy(kind().port());
  const auto store = open_through(proxy, {});
  proxy.before(text_of_try_history(), [&] {
    changed = true;
    EXPECT_TRUE(other->retry({ids.data(), 1}).at(0));
    for (auto& end : other->finish(finishes(claim(*other, 1)))) EXPECT_TRUE(end);
    EXPECT_TRUE(other->retry({&ids[1], 1}).at(0));
  });
  EXPECT_EQ(store->sweep(100).value().purged, 1U);
  EXPECT_TRUE(changed);
  EXPECT_EQ(other->monitor().job(ids[0]).value().state, State::kCompleted);
  EXPECT_EQ(other->monitor().job(ids[1]).value().state, State::kAvailable);
  EXPECT_FALSE(other->monitor().job(ids[2]).has_value());
}

TEST_P(ServerPurge, WhatHasEndedAnewIsNoLongerOneOfTheOldest) {
  const auto other = open(url());
  std::vector<JobId> ids;
  for (int i = 0; i < 8; ++i) {
    ids.push_back(insert(*other)->id);
    for (auto& end : other->finish(finishes(claim(*other, 1)))) ASSERT_TRUE(end);
  }
  bool changed = false;
  Proxy proxy(kind().port());
  BackendOptions few;
  few.retention.max_rows = 5;
  const auto store = open_through(proxy, few);
  proxy.before(text_of_try_history(), [&] {
    changed = true;
    EXPECT_TRUE(other->retry({ids.data(), 1}).at(0));
    for (auto& end : other->finish(finishes(claim(*other, 1)))) EXPECT_TRUE(end);
  });
  EXPECT_EQ(store->sweep(100).value().purged, 2U);
  EXPECT_TRUE(changed);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(other->monitor().job(ids[i]).has_value(), i == 0 || i >= 3) << i;
  }
}

// A sweep on MariaDB locks nothing as it looks: what is due may have come to another
// limit, or to one, or to none, before it is locked.
TEST_P(ServerPurge, WhatIsReplacedWhileASweepLooksIsCountedByItsNewLimit) {
  if (is_postgresql(kind())) GTEST_SKIP() << "it locks what it looks at";
  const auto jobs = [](const std::string& key) {
    std::vector<NewJob> made;
    for (int i = 0; i < 3; ++i) {
      NewJob& one = made.emplace_back(job());
      one.delay = 1h;
      if (!key.empty()) one.limit = Limit{key, 1};
      one.unique = Unique{"u" + std::to_string(i),
                          Duration{0},
                          {State::kScheduled, State::kAvailable, State::kPending},
                          OnConflict::kReplaceKeepTime};
    }
    return made;
  };
  for (const auto& [before, after] : {std::pair("", "K"), {"K", ""}, {"K", "L"}}) {
    kind().clean();
    const auto fresh = open(url());
    ASSERT_EQ(insert_all(*fresh, jobs(before)).size(), 3U);
    kind().run("UPDATE carrel_jobs SET wake_at = 1, run_at = 1");
    bool changed = false;
    Proxy proxy(kind().port());
    const auto store = open_through(proxy, {});
    // Once the sweep has the counter of a key, those of that key are not replaced.
    const std::string lock = *before == '\0' ? text_of_try_jobs() : text_of_try_slots();
    proxy.before(lock, [&, now = std::string(after)] {
      changed = true;
      for (const auto& answer : fresh->insert(jobs(now), 60s)) {
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_TRUE(answer->replaced);
      }
    });
    ASSERT_TRUE(store->sweep(100));
    EXPECT_TRUE(changed);
    const std::size_t at_once = *after == '\0' ? 3 : 1;
    std::size_t done = 0;
    for (int i = 0; i < 3; ++i) {
      const auto runs = claim(*fresh, 10);
      EXPECT_LE(runs.size(), at_once) << before << " to " << after;
      done += runs.size();
      for (auto& end : fresh->finish(finishes(runs))) EXPECT_TRUE(end);
    }
    EXPECT_EQ(done, 3U) << before << " to " << after;
  }
}

// One that was stopped, and ends runs that others have by now, or beats of them, holds
// none of theirs: their leases are to be renewed meanwhile.
TEST_P(Server, ARunThatIsNoneHoldsNothingOfItsJob) {
  auto store = open(url());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(insert(*store));
  const auto runs = claim(*store, 3);
  ASSERT_EQ(runs.size(), 3U);
  const std::array<Lease, 3> leases = {runs[0].lease, runs[1].lease, runs[2].lease};
  for (const std::size_t lost : {0, 2}) {
    kind().run("UPDATE carrel_jobs SET fence = 2 WHERE id = " +
               std::to_string(value(leases[lost].id)));
  }
  const auto others = kind().session();
  const auto is_free = [&](const Lease& run) {
    long long free = 0;
    others->begin();
    *others << "SELECT COUNT(*) FROM (SELECT id FROM carrel_jobs WHERE id = " +
                   std::to_string(value(run.id)) + " FOR UPDATE SKIP LOCKED) AS free",
        soci::into(free);
    others->rollback();
    return free == 1;
  };
  const auto driver = driver_of(url());
  const auto late = driver->connect();
  sql::server::RowLocker rows(*late, driver->statements());
  const std::span<const Lease> all(leases);
  for (const bool ends : {true, false}) {
    for (const auto told : {all, all.last(1)}) {
      late->begin();
      const auto found = ends ? rows.lock_runs(told) : rows.try_lock_runs(told);
      EXPECT_EQ(found.size(), told.size() / 2);
      EXPECT_TRUE(is_free(leases[0])) << ends;
      EXPECT_EQ(is_free(leases[1]), found.empty()) << "its own";
      EXPECT_TRUE(is_free(leases[2])) << ends << " of " << told.size();
      late->rollback();
    }
  }
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
          if (i % 8 == 0) jobs.back().rate = Rate{"key-" + std::to_string(k), 1000, 1s};
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
        static const std::vector<std::string> kinds = {"work"};
        const std::string name = std::to_string(s) + "-" + std::to_string(w);
        auto source = store.claim_source();
        for (std::uint64_t number = 1; ended < kStores * kJobs; ++number) {
          auto runs = source->claim({{}, kinds, 4}, name, number, 60s, 20ms);
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

// An enqueue that replaces looks who holds its key, waits for whoever has the key just
// then, and finds that another job holds it now, whose limit it has not locked.
TEST_P(Server, AnEnqueueThatReplacesFollowsAKeyThatWasMoved) {
  auto store = open(url());
  const auto keyed = [](std::string payload, OnConflict on_conflict) {
    NewJob one = job(std::move(payload));
    one.unique = Unique{"k", Duration{0}, {State::kAvailable}, on_conflict};
    return one;
  };
  NewJob limited = job("of the other");
  limited.limit = Limit{"limit", 1};
  const Inserted first = insert(*store, keyed("of the first", OnConflict::kSkip)).value();
  const Inserted other = insert(*store, limited).value();
  const auto others = kind().session();  // one that moves the key,
  const auto slots = kind().session();   // and one that is busy with all limits
  *slots << "BEGIN";
  soci::rowset<int> locked =
      (slots->prepare << "SELECT slot FROM carrel_limit_slots ORDER BY slot FOR UPDATE");
  EXPECT_GT(std::distance(locked.begin(), locked.end()), 1000);
  *others << "BEGIN";
  *others << "UPDATE carrel_unique SET job = " << value(other.id);
  auto replacing = std::async(std::launch::async, [&] {
    return insert(*store, keyed("new", OnConflict::kReplace));
  });
  until_it_waits_for("carrel_unique");
  *others << "COMMIT";
  until_it_waits_for("carrel_limit_slots");  // having begun anew, holding nothing
  *slots << "COMMIT";
  const auto answer = replacing.get();
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(answer->id, other.id);
  EXPECT_TRUE(answer->replaced);
  EXPECT_EQ(store->monitor().job(other.id)->payload, "new");
  EXPECT_FALSE(store->monitor().job(other.id)->limit.has_value());
  EXPECT_EQ(store->monitor().job(first.id)->payload, "of the first");
}

// A cancel has looked for its job's limit, and waits for the job: meanwhile an enqueue
// that replaces gives it one. Nothing of the job stays in that line.
TEST_P(Server, ACancelSeesTheLimitThatItsJobHasJustCome) {
  auto store = open(url());
  const Inserted one = insert(*store).value();
  const std::string id = std::to_string(value(one.id));
  const auto others = kind().session();
  *others << "BEGIN";
  *others << "UPDATE carrel_jobs SET state = 18 WHERE id = " + id;
  auto cancelling =
      std::async(std::launch::async, [&] { return store->cancel(std::array{one.id}); });
  until_it_waits_for("carrel_jobs");
  *others << "INSERT INTO carrel_limits (job, limit_key, lane, run_at, running, state)"
             " VALUES (" +
                 id + ", 'key', 'lane', 0, 1, 2)";
  *others << "COMMIT";
  ASSERT_TRUE(cancelling.get());
  EXPECT_EQ(kind().run("SELECT COUNT(*) FROM carrel_limits WHERE state IS NOT NULL"),
            std::vector<std::string>{"0"});
}

TEST_P(Server, TheLimitOfAQueueHoldsOverTwoEngines) {
  Config config;
  config.store = url();
  config.worker.concurrency = 4;
  config.worker.poll = 50ms;
  config.queues["scarce"].limit = 2;
  config.log.level = LogLevel::kOff;
  Crowd crowd(2);
  Engine one = crowd.engine(config);
  Engine two = crowd.engine(config);
  std::vector<JobId> ids;
  for (int i = 0; i < 40; ++i) {
    ids.push_back(one.enqueue("work", {}, {.queue = "scarce"}).value());
  }
  ASSERT_TRUE(one.start());
  ASSERT_TRUE(two.start());
  for (const JobId id : ids) ASSERT_TRUE(one.wait(id, 60s));
  one.stop(10s);
  two.stop(10s);
  EXPECT_FALSE(crowd.crowded());
}

}  // namespace
}  // namespace carrel::test
