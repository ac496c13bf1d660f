// How often a store asks its server, and for what.
#include <soci/postgresql/soci-postgresql.h>
#include <soci/version.h>

#include <algorithm>
#include <array>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server_case.h"
#include "servers/proxy.h"

namespace carrel::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

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
  const auto named = [&] {
    return store->claim_source()->claim({kDefault, kWork, 1}, "w", ++claims_, 30s, 0us);
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

// To bring, to claim, to beat and to finish.
TEST_P(Server, AHundredJobsAreHardlyMoreRoundTripsThanTwo) {
  Proxy proxy(kind().port());
  auto store = open(url(proxy.port(), is_postgresql(kind()) ? "?listen=off" : ""));
  using Counts = std::array<int, 4>;
  const auto count = [&](std::size_t jobs) {
    Counts counts{};
    int before = proxy.sent();
    auto next = [&, call = counts.begin()]() mutable {
      const int now = proxy.sent();
      *call++ = now - std::exchange(before, now);
    };
    insert_all(*store, std::vector<NewJob>(jobs, job()));
    next();
    const auto runs = claim(*store, jobs);
    EXPECT_THAT(runs, SizeIs(jobs));
    next();
    std::vector<Beat> beats;
    for (const Claimed& run : runs) {
      beats.push_back({.lease = run.lease, .progress = Progress{0.5F, "half"}});
    }
    const auto pulses = store->beat("w", claims_, beats, true, 30s);
    EXPECT_TRUE(pulses.has_value()) << pulses.error().message;
    next();
    for (const auto& finished : store->finish(finishes(runs))) EXPECT_TRUE(finished);
    next();
    return counts;
  };
  const auto fewest = [&](std::size_t jobs) {
    Counts least = count(jobs);
    for (int i = 0; i < 5; ++i) {
      const Counts counts = count(jobs);
      for (std::size_t n = 0; n < least.size(); ++n) {
        least[n] = std::min(least[n], counts[n]);
      }
    }
    return least;
  };
  const Counts hundred = fewest(100);
  const Counts two = fewest(2);
  for (std::size_t n = 0; n < two.size(); ++n) {
    EXPECT_LE(hundred[n], two[n] + 4)
        << n;  // a long statement may pass the proxy in parts
  }
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
      " timeout_us, max_attempts, payload)"
      " VALUES (1000000, 2, 'other', 'work', -1, 1, 1, 0, 1, '{}')");
  EXPECT_TRUE(insert(*store));
  waits.join();
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].queue, "default");
  runs = claim(*store, 1);
  ASSERT_THAT(runs, SizeIs(1));
  EXPECT_EQ(runs[0].queue, "other");
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

}  // namespace
}  // namespace carrel::test
