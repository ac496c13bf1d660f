// The lines in which jobs wait for a key, of which each operation that makes room looks
// at the lanes: all of them, at a cost that does not grow with what waits.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "mariadb/statements.h"
#include "server_case.h"

namespace carrel::test {
namespace {

using testing::SizeIs;

class ServerLines : public Server {
 protected:
  static std::vector<NewJob> in_lanes(NewJob job, int lanes) {
    std::vector<NewJob> jobs(static_cast<std::size_t>(lanes), job);
    for (int n = 0; n < lanes; ++n) {
      jobs[static_cast<std::size_t>(n)].priority = static_cast<std::int16_t>(n);
    }
    return jobs;
  }
  static State state(Store& store, JobId id) {
    return store.monitor().job(id).value().state;
  }
};
INSTANTIATE_TEST_SUITE_P(Of, ServerLines,
                         testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

TEST_P(ServerLines, RoomUnderALimitIsOfferedToEachLaneOfItsKey) {
  const auto store = open(url());
  std::vector<std::vector<JobId>> waiting;
  std::vector<NewJob> first;
  for (const std::string key : {"one lane", "two", "many"}) {
    first.push_back(job());
    first.back().limit = Limit{key, 1};
  }
  insert_all(*store, first);
  const auto runs = claim(*store, 3);
  ASSERT_THAT(runs, SizeIs(3));
  for (const auto& [n, lanes] : std::map<std::size_t, int>{{0, 1}, {1, 2}, {2, 5}}) {
    waiting.push_back(insert_all(*store, in_lanes(first[n], lanes)));
    insert_all(*store, in_lanes(first[n], lanes));  // whose turn it is not
    for (const JobId id : waiting.back()) EXPECT_EQ(state(*store, id), State::kPending);
  }
  std::size_t freed = 0;
  for (auto& answer : store->finish(finishes(runs))) {
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    freed += answer->freed.size();
  }
  EXPECT_EQ(freed, 1U + 2U + 5U);
  for (const auto& ids : waiting) {
    for (const JobId id : ids) EXPECT_EQ(state(*store, id), State::kAvailable);
  }
}

TEST_P(ServerLines, RoomInAWindowIsOfferedToEachLaneOfItsKey) {
  const auto store = open(url());
  NewJob rated = job();
  rated.rate = Rate{"key", 1, 1h};
  ASSERT_THAT(insert_all(*store, {rated}), SizeIs(1));
  ASSERT_THAT(claim(*store, 1), SizeIs(1));
  const auto waiting = insert_all(*store, in_lanes(rated, 5));
  for (const JobId id : waiting) EXPECT_EQ(state(*store, id), State::kPending);
  // Nobody has heard of the run: it has not begun.
  ASSERT_TRUE(store->beat("w", claims_, {}, true, 30s).has_value());
  for (const JobId id : waiting) {
    if (id == waiting.front()) continue;  // the lane of the one that was given back
    EXPECT_EQ(state(*store, id), State::kAvailable);
  }
}

// 20,000 jobs of one key wait in each of three lanes.
constexpr const char* kManyWait =
    "INSERT INTO carrel_jobs (id, state, queue, kind, priority, wake_at, enqueued_at,"
    " run_at, timeout_us, max_attempts)"
    " SELECT 1000000 + seq, 0, 'default', 'work', seq DIV 20000, 9000000000000000, seq,"
    " seq, 0, 1 FROM seq_0_to_59999;"
    "INSERT INTO carrel_limits (job, run_at, running, state, limit_key, lane)"
    " SELECT id, run_at, 1, 0, 'k', CONCAT('default', CHAR(31), 'work', CHAR(31),"
    " priority) FROM carrel_jobs WHERE state = 0";
constexpr const char* kAndForARate =
    "INSERT INTO carrel_rates (job, run_at, period_us, starts, state, rate_key, lane)"
    " SELECT job, run_at, 1, 1, 0, limit_key, lane FROM carrel_limits";

std::string lane(int priority) {
  return "default\x1fwork\x1f" + std::to_string(priority);
}

// Of the lane in the midst.
std::string sought(std::string sql) {
  const std::vector<std::pair<std::string, std::string>> values = {
      {":rows",
       R"('[{"n":0,"key":"k","limit_key":"k","lane":"default\\u001fwork\\u001f1"}]')"},
      {":rate_key", "'k'"},
      {":key", "'k'"},
      {":lane", "'" + lane(0) + "'"},
      {":last", "'" + lane(2) + "'"}};
  for (const auto& [name, value] : values) {
    for (auto at = sql.find(name); at != sql.npos; at = sql.find(name)) {
      sql.replace(at, name.size(), value);
    }
  }
  return sql;
}

TEST(Mariadb, TheLanesOfALineAreSoughtHoweverManyWait) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  mariadb().run(kManyWait);
  mariadb().run(kAndForARate);
  const auto& sql = sql::mariadb::kStatements;
  const auto& host = sql::mariadb::kSnapshotStatements;
  for (const char* statement :
       {sql.end_lines, sql.next_line, sql.count_lanes, sql.end_rate_lines,
        sql.next_rate_line, sql.count_rate_line, host.end_lines, host.next_line}) {
    const auto read = mariadb().run("FLUSH STATUS; " + sought(statement) +
                                    "; SELECT SUM(variable_value)"
                                    "  FROM information_schema.session_status"
                                    " WHERE variable_name LIKE 'Handler_read%'");
    EXPECT_LT(std::stoi(read.at(0)), 30) << statement;
  }
  EXPECT_EQ(mariadb().run(sought(sql.next_line)).at(0), lane(1));
  EXPECT_EQ(mariadb().run(sought(sql.next_rate_line)).at(0), lane(1));
}

// Else whoever asks for many of one key reads all that runs of it for each.
TEST(Mariadb, AKeyIsCountedOnceHoweverManyAsk) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  mariadb().run(
      "INSERT INTO carrel_jobs (id, state, queue, kind, priority, enqueued_at, run_at,"
      " timeout_us, max_attempts)"
      " SELECT seq, IF(seq % 2 = 0, 3, 18), 'default', 'work', 0, seq, seq, 0, 1"
      " FROM seq_1_to_400;"
      "INSERT INTO carrel_limits (job, run_at, running, state, limit_key, lane)"
      " SELECT id, run_at, 1000, 2, 'k', 'a' FROM carrel_jobs");
  std::string now = sql::mariadb::kStatements.limits_now;
  const std::string ids = "(SELECT JSON_ARRAYAGG(id) FROM carrel_jobs WHERE state = 18)";
  const std::string all = "'" + mariadb().run("SELECT " + ids).at(0) + "'";
  for (auto at = now.find(":ids"); at != now.npos; at = now.find(":ids")) {
    now.replace(at, 4, all);
  }
  const auto rows = mariadb().run(now);
  EXPECT_THAT(rows, SizeIs(200));
  const auto read = mariadb().run("FLUSH STATUS; " + now +
                                  "; SELECT SUM(variable_value)"
                                  "  FROM information_schema.session_status"
                                  " WHERE variable_name LIKE 'Handler_read%'");
  EXPECT_LT(std::stoi(read.at(0)), 6000) << "200 x 400 else";
}

TEST(Mariadb, AJobOfALimitReadsNoMoreHoweverManyWait) {
  mariadb_kind().clean();
  const auto store = open_store(mariadb().url()).value();
  NewJob job;
  job.kind = "work";
  job.priority = 1;
  job.limit = Limit{"k", 1};
  ASSERT_TRUE(store->insert({&job, 1}, 60s).at(0).has_value());
  mariadb().run(kManyWait);
  const auto read = [] {
    return std::stoll(mariadb()
                          .run("SELECT SUM(variable_value)"
                               "  FROM information_schema.global_status"
                               " WHERE variable_name LIKE 'Handler_read%'")
                          .at(0));
  };
  const long long before = read();
  const std::vector<std::string> work = {"work"};
  const auto runs = store->claim_source()->claim({{}, work, 1}, "w", 1, 30s, 0us).value();
  ASSERT_THAT(runs, SizeIs(1));
  ASSERT_TRUE(store->insert({&job, 1}, 60s).at(0).has_value());
  Finish end;
  end.lease = runs[0].lease;
  end.result = "{}";
  const auto ended = store->finish({&end, 1});
  ASSERT_TRUE(ended.at(0).has_value());
  EXPECT_THAT(ended.at(0)->freed, SizeIs(3)) << "one of each lane";
  EXPECT_LT(read() - before, 5000);
}

}  // namespace
}  // namespace carrel::test
