// Through a pooler of connections, which gives each transaction whichever is free.
#include <carrel/engine.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "crowd.h"
#include "server_case.h"
#include "servers/pgbouncer.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

using testing::SizeIs;

// A pooler hands each transaction to another connection: nothing may be prepared or
// remembered on one.
std::string url_of(const PgBouncer& pooler) {
  return PostgresServer::tcp_url(pooler.port()) +
         "?prepare=off&listen=" + "postgresql%3A%2F%2Fcarrel%40127.0.0.1%3A" +
         std::to_string(postgres().port()) + "%2Fcarrel";
}

TEST(Postgres, LimitsRatesUniqueKeysAndHoldsWorkBehindAPooler) {
  if (!PgBouncer::missing().empty()) GTEST_SKIP() << PgBouncer::missing();
  postgres_kind().clean();
  const PgBouncer pooler(postgres().port());
  Config config;
  config.store = url_of(pooler);
  config.worker.concurrency = 4;
  config.worker.poll = 50ms;
  config.log.level = LogLevel::kOff;
  Crowd crowd(1);
  Engine one = crowd.engine(config);
  Engine two = crowd.engine(config);
  for (Engine* engine : {&one, &two}) {
    ASSERT_TRUE(engine->handle("rated", [](Context&) {}));
  }
  EnqueueOptions keyed;
  keyed.unique = UniqueConfig{{"kind"}, Duration{0}, {}, OnConflict::kSkip};
  const Inserted first = one.insert("nobody's", {}, keyed).value();
  const Inserted second = two.insert("nobody's", {}, keyed).value();
  EXPECT_TRUE(second.existed);
  EXPECT_EQ(second.id, first.id);
  std::vector<JobId> ids;
  for (int i = 0; i < 20; ++i) {
    ids.push_back(one.enqueue("work", {}, {.limit = Limit{"key", 1}}).value());
  }
  std::vector<JobId> rated;
  for (int i = 0; i < 3; ++i) {
    rated.push_back(
        two.enqueue("rated", {}, {.rate = Rate{"key", 2, Duration(1h)}}).value());
  }
  ASSERT_TRUE(one.start());
  ASSERT_TRUE(two.start());
  for (const JobId id : ids) ASSERT_TRUE(one.wait(id, 60s));
  EXPECT_FALSE(crowd.crowded());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(one.wait(rated[i], 60s));
  EXPECT_EQ(two.job(rated[2])->state, State::kPending);
  EXPECT_TRUE(one.hold("place", 1, [&] {
    EXPECT_FALSE(two.hold(
        "place", 1, [] { ADD_FAILURE() << "both hold it"; }, 200ms));
  }));
  EXPECT_TRUE(two.hold(
      "place", 1, [] {}, 60s));
}

TEST(Postgres, WorksBehindAPoolerOfTransactions) {
  if (!PgBouncer::missing().empty()) GTEST_SKIP() << PgBouncer::missing();
  postgres_kind().clean();
  const PgBouncer pooler(postgres().port());
  const std::string url = url_of(pooler);
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
      static const std::vector<std::string> kQueues = {"work"};
      const auto source = store.claim_source();
      std::size_t done = 0;
      for (std::uint64_t number = 1;; ++number) {
        auto runs = source->claim({{}, kQueues, 7}, "w", number, 30s, 0us);
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

}  // namespace
}  // namespace carrel::test
