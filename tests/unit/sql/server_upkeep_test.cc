// What has died in the tables: that it is shown, and rebuilt without holding anybody up.
#include <atomic>
#include <thread>

#include "server_case.h"

namespace carrel::test {
namespace {

class ServerUpkeep : public Server {
 protected:
  // Jobs that were enqueued, run and finished, so that a table holds what has died.
  void do_jobs(Store& store, std::size_t jobs) {
    const std::vector<NewJob> some(jobs, job(std::string(500, 'x')));
    for (auto& in : store.insert(some, 60s)) ASSERT_TRUE(in.has_value());
    for (auto runs = claim(store, 500); !runs.empty(); runs = claim(store, 500)) {
      for (auto& end : store.finish(finishes(runs))) ASSERT_TRUE(end.has_value());
    }
  }
  Result<Reindexed> reindex() {
    Registry registry = Registry::with_builtins();
    register_sql(registry);
    const auto place = Url::parse(url());
    const auto rebuild = registry.reindex(place->scheme);
    if (!rebuild || *rebuild == nullptr) {
      return fail(Code::kUnsupported, "none", "test");
    }
    return (**rebuild)(*place);
  }
  bool is_postgresql() const { return std::string(kind().name) == "postgresql"; }
};
INSTANTIATE_TEST_SUITE_P(Of, ServerUpkeep,
                         testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

TEST_P(ServerUpkeep, TheFootprintTellsWhatDiedAndWhoHoldsIt) {
  const auto store = open(url());
  do_jobs(*store, 1'000);
  const auto holder = kind().session();
  *holder << (is_postgresql() ? "BEGIN ISOLATION LEVEL REPEATABLE READ"
                              : "START TRANSACTION WITH CONSISTENT SNAPSHOT");
  long long jobs = -1;
  *holder << "SELECT COUNT(*) FROM carrel_jobs", soci::into(jobs);
  ASSERT_EQ(jobs, 0);
  const auto footprint = store->monitor().footprint();
  ASSERT_TRUE(footprint.has_value()) << footprint.error().message;
  EXPECT_GT(footprint->jobs_bytes, 16U << 10);
  ASSERT_TRUE(footprint->dead_rows.has_value());
  // MariaDB tells it only to who may see the transactions of all.
  EXPECT_EQ(footprint->oldest_transaction.has_value(), is_postgresql());
  *holder << "ROLLBACK";
}

TEST_P(ServerUpkeep, AReindexGivesBackAndHoldsNobodyUp) {
  const auto store = open(url());
  do_jobs(*store, 5'000);
  NewJob waits = job();
  ASSERT_TRUE(insert(*store, waits));
  std::atomic<bool> over{false};
  std::atomic<int> done{0};
  std::thread works([&] {
    while (!over) {
      do_jobs(*store, 1);
      ++done;
    }
  });
  const auto rebuilt = reindex();
  over = true;
  works.join();
  ASSERT_TRUE(rebuilt.has_value()) << rebuilt.error().message;
  EXPECT_LE(rebuilt->bytes_after, rebuilt->bytes_before);
  EXPECT_GT(done, 0);
  do_jobs(*store, 10);
}

TEST_P(ServerUpkeep, AReindexOfNoTablesSaysWhatToDo) {
  const auto refused = reindex();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("carrel migrate"));
}

TEST_P(ServerUpkeep, WhatACutOffRebuildLeftIsCleared) {
  if (!is_postgresql()) GTEST_SKIP() << "the other undoes it by itself";
  const auto store = open(url());
  kind().run("CREATE INDEX carrel_jobs_wake_ccnew ON carrel_jobs (wake_at)");
  kind().run(
      "UPDATE pg_index SET indisvalid = false"
      " WHERE indexrelid = 'carrel_jobs_wake_ccnew'::regclass");
  ASSERT_TRUE(reindex().has_value());
  EXPECT_THAT(kind().run("SELECT relname FROM pg_class WHERE relname LIKE '%ccnew%'"),
              testing::IsEmpty());
}

TEST_P(ServerUpkeep, SoIsThatOfWhatATableKeepsBesideItsRows) {
  if (!is_postgresql()) GTEST_SKIP() << "the other undoes it by itself";
  const auto store = open(url());
  const char* const half_built =
      "SELECT i.indexrelid::regclass FROM pg_index AS i WHERE NOT i.indisvalid";
  const auto holder = kind().session();
  *holder << "BEGIN ISOLATION LEVEL REPEATABLE READ";
  long long jobs = -1;
  *holder << "SELECT count(*) FROM carrel_jobs", soci::into(jobs);
  std::thread rebuilds([&] {
    const auto other = kind().session();
    EXPECT_THROW(*other << "REINDEX TABLE CONCURRENTLY carrel_jobs", soci::soci_error);
  });
  // When it has made its indexes, it waits for the holder.
  const std::string cancel =
      "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
      " WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'";
  const auto end = SteadyClock::now() + 60s;
  bool cancelled = false;
  while (!(cancelled = !kind().run(cancel).empty()) && SteadyClock::now() < end) {
    std::this_thread::sleep_for(10ms);
  }
  *holder << "ROLLBACK";  // or it would wait for ever where nobody has cancelled it
  rebuilds.join();
  ASSERT_TRUE(cancelled) << "it never waited";
  EXPECT_THAT(kind().run(half_built), testing::Contains(testing::HasSubstr("pg_toast")));
  const auto rebuilt = reindex();
  ASSERT_TRUE(rebuilt.has_value()) << rebuilt.error().message;
  EXPECT_THAT(kind().run(half_built), testing::IsEmpty());
}

TEST_P(ServerUpkeep, ATableThatIsHeldIsNamedAndTheOthersAreRebuilt) {
  if (is_postgresql()) GTEST_SKIP() << "the other waits, and holds up nobody";
  const auto store = open(url());
  do_jobs(*store, 10);
  const auto holder = kind().session();
  *holder << "START TRANSACTION";
  long long jobs = -1;
  *holder << "SELECT COUNT(*) FROM carrel_jobs", soci::into(jobs);
  // Rebuilt, a table has another id.
  const auto id_of = [&](const std::string& table) {
    return kind()
        .run(
            "SELECT table_id FROM information_schema.innodb_sys_tables"
            " WHERE name LIKE '%/" +
            table + "'")
        .at(0);
  };
  const std::string jobs_before = id_of("carrel_jobs");
  const std::string tally_before = id_of("carrel_tally");
  const auto rebuilt = reindex();
  *holder << "ROLLBACK";
  ASSERT_TRUE(rebuilt.has_value()) << rebuilt.error().message;
  EXPECT_THAT(rebuilt->how, testing::HasSubstr("not done"));
  EXPECT_THAT(rebuilt->how, testing::HasSubstr("carrel_jobs"));
  EXPECT_THAT(rebuilt->how, testing::Not(testing::HasSubstr("carrel_tally")));
  EXPECT_EQ(id_of("carrel_jobs"), jobs_before);
  EXPECT_NE(id_of("carrel_tally"), tally_before);
}

}  // namespace
}  // namespace carrel::test
