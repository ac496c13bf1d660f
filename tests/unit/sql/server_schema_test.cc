// The tables on a server, their versions, and what a URL may say.
#include <sys/wait.h>

#include <atomic>
#include <cstdio>
#include <future>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "older_program.h"
#include "server_case.h"

namespace carrel::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

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

int newest_version(const Kind& kind) { return is_postgresql(kind) ? 9 : 7; }

// Leads back to what an older version has of the tables. Jobs stay, without what that
// does not know of them.
std::string back_to(const Kind& kind, int version) {
  std::string sql;
  if (is_postgresql(kind)) {
    sql +=
        "CREATE INDEX carrel_limits_available ON carrel_limits (lane, run_at, job)"
        " WHERE state = 2;"
        "CREATE INDEX carrel_rates_available ON carrel_rates (lane, run_at, job)"
        " WHERE state = 2;"
        "DROP INDEX carrel_jobs_limited;";
  } else {
    sql +=
        "CREATE INDEX carrel_limits_available"
        " ON carrel_limits (state, lane, run_at, job);"
        "CREATE INDEX carrel_rates_available ON carrel_rates (state, lane, run_at, job);";
  }
  sql += "ALTER TABLE carrel_jobs DROP COLUMN limited;";
  if (version < 5) {
    sql +=
        "DROP TABLE carrel_rates; DROP TABLE carrel_starts;"
        "DROP TABLE carrel_rate_keys;";
  }
  if (version < 4) sql += "ALTER TABLE carrel_attempts DROP COLUMN ending;";
  if (version < 3) sql += "DROP TABLE carrel_unique;";
  if (version < 2) sql += "DROP TABLE carrel_limits; DROP TABLE carrel_limit_slots;";
  return sql + "DELETE FROM carrel_schema WHERE version > " + std::to_string(version);
}

// Nothing of it is there, or it is gone on with.
TEST_P(Server, AStepThatFailsHalfWayIsDoneLater) {
  ASSERT_NE(open(url()), nullptr);
  kind().run(back_to(kind(), 4) + ";CREATE TABLE carrel_rate_keys (in_its_way INT)");
  EXPECT_FALSE(open_store(url("?migrate=on")));
  EXPECT_EQ(kind().run("SELECT MAX(version) FROM carrel_schema").at(0), "4");
  EXPECT_EQ(kind()
                .run("SELECT COUNT(*) FROM information_schema.tables"
                     " WHERE table_name = 'carrel_starts'")
                .at(0),
            is_postgresql(kind()) ? "0" : "1");
  kind().run("DROP TABLE carrel_rate_keys");
  const auto store = open(url("?migrate=on"));
  ASSERT_NE(store, nullptr);
  NewJob rated = job();
  rated.rate = Rate{"k", 1, 1h};
  ASSERT_TRUE(insert(*store, rated));
  ASSERT_TRUE(insert(*store, rated));
  EXPECT_THAT(claim(*store, 10), SizeIs(1));
  EXPECT_EQ(kind().run("SELECT COUNT(*) - MAX(version) FROM carrel_schema").at(0), "0");
}

TEST(Mariadb, ADatabaseMayHaveALongName) {
  const std::string name(64, 'd');
  mariadb().run("CREATE DATABASE " + name);
  const auto store = open_store(mariadb().url(name));
  EXPECT_TRUE(store.has_value()) << store.error().message;
  mariadb().run("DROP DATABASE " + name);
}

// It takes as long as tables are large, or as somebody else is at it: longer than a call.
TEST_P(Server, AMigrationTakesItsTime) {
  Registry registry;
  register_sql(registry);
  const Url place = *Url::parse(url("?call_timeout=500ms"));
  const auto migrate = **registry.schema(place.scheme);
  const auto others = kind().session();
  std::string held;
  const bool postgres = is_postgresql(kind());
  *others << (postgres ? "SELECT pg_advisory_lock(7161674165118018668)::text"
                       : "SELECT CAST(GET_LOCK('carrel_carrel', 0) AS CHAR)"),
      soci::into(held);
  auto migrated = std::async(std::launch::async, [&] { return migrate(place, true); });
  EXPECT_EQ(migrated.wait_for(1500ms), std::future_status::timeout);
  *others << (postgres ? "SELECT pg_advisory_unlock(7161674165118018668)::text"
                       : "SELECT CAST(RELEASE_LOCK('carrel_carrel') AS CHAR)"),
      soci::into(held);
  const auto done = migrated.get();
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_TRUE(open_store(url()).has_value());
}

// Who comes while they are being made never takes what is there for an older schema.
TEST_P(Server, TheTablesAreNewUntilTheyAreWhole) {
  Registry registry;
  register_sql(registry);
  const Url place = *Url::parse(url());
  const auto look = **registry.schema(place.scheme);
  auto made = std::async(std::launch::async, [&] { return open_store(url()); });
  do {
    const auto seen = look(place, false);
    ASSERT_TRUE(seen.has_value()) << seen.error().message;
    EXPECT_THAT(seen->from, AnyOf(0, seen->to));
  } while (made.wait_for(0s) != std::future_status::ready);
  EXPECT_TRUE(made.get().has_value());
}

// A store of version 1, as its own program made it, with jobs in it.
TEST_P(Server, AnOlderSchemaIsBroughtForward) {
  {
    auto store = open(url());
    ASSERT_TRUE(insert(*store));
  }
  kind().run(back_to(kind(), 1));
  const auto refused = open_store(url());
  ASSERT_FALSE(refused) << "only where it is asked for";
  EXPECT_THAT(refused.error().message, HasSubstr("carrel migrate"));
  Registry registry;
  register_sql(registry);
  const Url place = *Url::parse(url());
  const auto shown = (**registry.schema(place.scheme))(place, false);
  ASSERT_TRUE(shown.has_value()) << shown.error().message;
  EXPECT_EQ(shown->from, 1);
  EXPECT_EQ(shown->to, newest_version(kind()));
  EXPECT_THAT(shown->sql, AllOf(HasSubstr("carrel_limits"), HasSubstr("carrel_unique"),
                                HasSubstr("carrel_starts")));
  EXPECT_THAT(shown->sql, Not(HasSubstr("carrel_paused")));
  EXPECT_FALSE(open_store(url())) << "it was only shown";
  auto store = open(url("?migrate=on"));
  ASSERT_NE(store, nullptr);
  NewJob limited = job();
  limited.limit = Limit{"k", 1};
  ASSERT_TRUE(insert(*store, limited));
  ASSERT_TRUE(insert(*store, limited));
  NewJob rated = job();
  rated.rate = Rate{"k", 1, 1h};
  ASSERT_TRUE(insert(*store, rated));
  ASSERT_TRUE(insert(*store, rated));
  EXPECT_THAT(claim(*store, 10), SizeIs(3)) << "the older job, and one of each key";
  EXPECT_EQ(kind().run(
                "SELECT usable_from FROM carrel_schema ORDER BY version DESC LIMIT 1")[0],
            std::to_string(newest_version(kind()) - 1))
      << "a program of the version before goes on while newer ones are rolled out";
  // As it writes an attempt: it knows nothing of how it ended.
  const auto id = store->monitor().list({}, JobId{0}, 1).value().at(0).id;
  kind().run(
      "INSERT INTO carrel_attempts (job, fence, wall_us, ended_at, attempt, class, "
      "worker)"
      " VALUES (" +
      std::to_string(value(id)) + ", 77, 5, 6, 1, 1, 'older')");
  const auto attempts = store->monitor().job(id).value().attempts;
  ASSERT_THAT(attempts, SizeIs(1));
  EXPECT_EQ(attempts[0].worker, "older");
  EXPECT_EQ(attempts[0].rung, Rung::kNone);
}

// Two that are told to bring it forward at once: one does, the other finds it done.
TEST_P(Server, TwoThatBringItForwardAtOnceDoItOnce) {
  open(url());
  for (int round = 0; round < 3; ++round) {
    kind().run(back_to(kind(), 2));
    Registry registry;
    register_sql(registry);
    const Url place = *Url::parse(url());
    const auto migrate = **registry.schema(place.scheme);
    std::vector<std::future<Result<SchemaChange>>> all;
    for (int i = 0; i < 2; ++i) {
      all.push_back(std::async(std::launch::async, [&] { return migrate(place, true); }));
    }
    all.push_back(std::async(std::launch::async, [&]() -> Result<SchemaChange> {
      auto store = open_store(url("?migrate=on"));
      if (!store) return tl::unexpected(store.error());
      return SchemaChange{};
    }));
    for (auto& one : all) {
      const auto done = one.get();
      EXPECT_TRUE(done.has_value()) << done.error().message;
    }
    EXPECT_EQ(kind().run("SELECT COUNT(*) - MAX(version) FROM carrel_schema").at(0), "0");
    auto store = open(url("?migrate=off"));
    ASSERT_NE(store, nullptr);
    ASSERT_TRUE(insert(*store));
  }
}

// A worker of the version before goes on beside newer ones.
TEST_P(Server, AProgramOfTheVersionBeforeWorksOnIt) {
  auto store = open(url());
  const auto older = is_postgresql(kind()) ? older_postgresql(kind().session())
                                           : older_mariadb(kind().session());
  EXPECT_EQ(kind().run(
                "SELECT usable_from FROM carrel_schema ORDER BY version DESC LIMIT 1")[0],
            std::to_string(newest_version(kind()) - 1))
      << "then these are not the statements of the version before";
  const Inserted ours = insert(*store).value();
  NewJob rated = job();
  rated.rate = Rate{"k", 1, 1h};
  rated.limit = Limit{"k", 1};
  const Inserted newer = insert(*store, rated).value();
  older->enqueue();
  const auto runs = older->claim();
  ASSERT_THAT(runs, SizeIs(2)) << "what it knows nothing of is not its to claim";
  EXPECT_EQ(runs[0].id, static_cast<long long>(value(ours.id)));
  older->complete(runs[0]);
  const JobRecord done = store->monitor().job(ours.id).value();
  EXPECT_EQ(done.state, State::kCompleted);
  EXPECT_EQ(done.result, "7");
  EXPECT_EQ(done.payload, "{}");
  ASSERT_THAT(done.attempts, SizeIs(1));
  EXPECT_EQ(done.attempts[0].worker, "older");
  // What it runs is known to run here: it is not taken away, and may be finished by
  // either.
  older->renew(runs[1]);
  EXPECT_EQ(store->sweep(100)->rescued, 0U);
  const JobId theirs{static_cast<std::uint64_t>(runs[1].id)};
  EXPECT_EQ(store->monitor().job(theirs)->state, State::kRunning);
  const auto ours_now = claim(*store, 10);
  ASSERT_THAT(ours_now, SizeIs(1));
  EXPECT_EQ(ours_now[0].lease.id, newer.id);
  Finish end;
  end.lease = {theirs, Fence{static_cast<std::uint64_t>(runs[1].fence)}};
  EXPECT_EQ(store->finish({&end, 1}).at(0)->kind, Finished::Kind::kApplied);
  ASSERT_TRUE(store->finish(finishes(ours_now)).at(0));
  EXPECT_EQ(store->monitor().counts()->total[static_cast<std::size_t>(State::kCompleted)],
            3U);
  // And what is enqueued here is found there.
  ASSERT_TRUE(insert(*store));
  EXPECT_THAT(older->claim(), SizeIs(1));
}

TEST_P(Server, APurgeLeavesNothingOfAJob) {
  BackendOptions options;
  options.retention.completed = Duration{0};
  auto store = open(url(), options);
  NewJob whole = job(std::string(5000, 'x'));
  whole.request_id = "r";
  whole.limit = Limit{"k", 1};
  whole.rate = Rate{"k", 1, 1h};
  whole.unique = Unique{"k", Duration{0}, {State::kAvailable}, OnConflict::kSkip};
  ASSERT_TRUE(insert(*store, whole));
  for (const auto& answer : store->finish(finishes(claim(*store, 1)))) {
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->kind, Finished::Kind::kApplied);
  }
  for (const char* table : {"jobs", "history", "requests", "payloads", "notes",
                            "attempts", "limits", "rates", "unique"}) {
    EXPECT_EQ(kind().run("SELECT COUNT(*) FROM carrel_" + std::string(table))[0], "0")
        << table;
  }
  EXPECT_EQ(kind().run("SELECT COUNT(*) FROM carrel_starts")[0], "1") << "that it counts";
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
  const Url place = Url::parse(url()).value();
  Registry registry = Registry::with_builtins();
  for (const bool apply : {false, true}) {
    const auto change = (**registry.schema(place.scheme))(place, apply);
    ASSERT_FALSE(change);
    EXPECT_THAT(change.error().message, HasSubstr("use a newer carrel"));
  }
}

TEST_P(Server, AnUnknownOptionIsRefused) {
  const auto refused = open_store(url("?colour=blue"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("colour"));
}

#ifdef CARREL_COMMAND
// What a shell prints; its exit code with `code`.
std::string shell(const std::string& line, int* code) {
  std::FILE* pipe = ::popen(line.c_str(), "r");
  std::string said;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    said += static_cast<char>(c);
  }
  *code = WEXITSTATUS(::pclose(pipe));
  return said;
}

std::string command(const std::string& arguments, int* code) {
  return shell(std::string(CARREL_COMMAND) + " " + arguments + " 2>&1", code);
}

// By many pages, beside somebody who enqueues.
TEST_P(Server, TheCommandExportsEveryJobOnce) {
  const auto store = open(url());
  constexpr std::size_t kJobs = 3'000;
  for (const auto& in : store->insert(std::vector<NewJob>(kJobs, job()), 60s)) {
    ASSERT_TRUE(in.has_value()) << in.error().message;
  }
  for (const auto& end : store->finish(finishes(claim(*store, 500)))) ASSERT_TRUE(end);
  std::atomic<bool> over{false};
  std::thread others([&] {
    while (!over) EXPECT_TRUE(insert(*store));
  });
  int code = -1;
  std::istringstream lines(command("--store '" + url() + "' export", &code));
  over = true;
  others.join();
  EXPECT_EQ(code, 0);
  std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
  std::size_t completed = 0;
  std::size_t ours = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json record = Json::parse(line, nullptr, false);
    ASSERT_TRUE(record.is_object()) << line;
    const auto id = record.at("id").get<std::uint64_t>();
    EXPECT_LT(id, last) << "newest first, each once";
    last = id;
    if (id <= kJobs) ++ours;
    if (record.at("state") == "completed") ++completed;
  }
  EXPECT_EQ(ours, kJobs);
  EXPECT_EQ(completed, 500U);
}

TEST_P(Server, TheCommandWorksOnIt) {
  const std::string store = "--store '" + url() + "' ";
  const auto expect = [&](const std::string& arguments, const std::string& text) {
    int code = -1;
    const std::string said = command(store + arguments, &code);
    EXPECT_EQ(code, 0) << arguments << ": " << said;
    EXPECT_THAT(said, HasSubstr(text)) << arguments;
  };
  const std::string newest = std::to_string(newest_version(kind()));
  expect("migrate --dry-run", "version 0 would become version " + newest);
  expect("migrate --sql", "carrel_history");
  expect("migrate --dry-run", "version 0 would become");  // printing changes nothing
  if (!is_postgresql(kind())) {
    int code = -1;
    EXPECT_EQ(shell(std::string(CARREL_COMMAND) + " " + store +
                        "migrate --sql | mariadb -u carrel -h 127.0.0.1 -P " +
                        std::to_string(kind().port()) + " carrel 2>&1",
                    &code),
              "");
    EXPECT_EQ(code, 0);
    expect("migrate", "nothing to do");
    kind().clean();
  } else {
    // By hand: all of it, or none, also where psql goes on after an error.
    int code = -1;
    const auto by_hand = [&] {
      return shell(std::string(CARREL_COMMAND) + " " + store +
                       "migrate --sql | psql -qo /dev/null '" + url() + "' 2>&1",
                   &code);
    };
    kind().run("CREATE TABLE carrel_rates (n int)");
    EXPECT_THAT(by_hand(), HasSubstr("carrel_rates"));
    EXPECT_EQ(kind().run("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'carrel%'"),
              std::vector<std::string>{"1"});
    expect("migrate --dry-run", "version 0 would become");
    kind().run("DROP TABLE carrel_rates");
    EXPECT_EQ(by_hand(), "");
    expect("migrate", "nothing to do");
    kind().clean();
  }
  expect("migrate", "version 0 became version " + newest);
  expect("migrate", "nothing to do");
  expect("enqueue grade '{\"user\": 7}'", "1");
  expect("list", "grade");
  expect("--json show 1", R"("user":7)");
  expect("pause default", "");
  expect("status", "default");
  expect("status --json", R"("footprint":{"dead_rows":)");
  expect("reindex", "bytes before");
  expect("cancel 1", "");
  expect("doctor", "seen by the network");
}
#endif

}  // namespace
}  // namespace carrel::test
