// The plans of the statements on servers: their cost must not grow with what they do not
// take.
#include <string>
#include <utility>
#include <vector>

#include "mariadb/statements.h"
#include "postgresql/statements.h"
#include "server/script.h"
#include "server_case.h"

namespace carrel::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// The claim's cost must not grow with what it does not take.
std::string with_values(std::string sql) {
  const std::vector<std::pair<std::string, std::string>> values = {
      {":kinds", R"('[{"name":"work"}]')"},
      {":rows", R"('[{"queue":"default","kind":"work","most":10}]')"},
      {":ids", "'[1]'"},
      {":id", "1"},
      {":fence", "1"},
      {":limit_key", "'k'"},
      {":lane",
       "'default\x1f"
       "work\x1f"
       "0'"},
      {":rate_key", "'k'"},
      {":after", "1"},
      {":begun_at", "10000"},
      {":until", "1"},
      {":newer", "1"},
      {":key", "'k'"},
      {":last", "'x'"},
      {":queue", "'default'"},
      {":kind", "'work'"},
      {":most", "10"},
      {":now", "1"},
      {":lease_end", "2"},
      {":claim_number", "1"},
      {":worker", "'w'"},
      {":state", "2"}};
  for (const auto& [name, value] : values) {
    for (std::size_t at = sql.find(name); at != std::string::npos;
         at = sql.find(name, at + value.size())) {
      sql.replace(at, name.size(), value);
    }
  }
  return sql;
}

TEST(Postgres, AClaimReadsTheIndexOfAvailableJobsInItsOrder) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  postgres().run("SET enable_seqscan = on; ANALYZE carrel_jobs");
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.claim_lanes, sql.claim_lane, sql.claim_lane_unless_limited}) {
    std::string plan;
    for (const auto& line :
         postgres().run("SET enable_seqscan = off; EXPLAIN " + with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, HasSubstr("carrel_jobs_available"));
    EXPECT_THAT(plan, Not(HasSubstr("Sort"))) << plan;
  }
}

TEST(Postgres, APollSeeksInTheIndexesOfWhatIsAvailable) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  std::string plan;
  for (const auto& line : postgres().run(
           std::string(
               "SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN ") +
           sql::postgresql::kStatements.all_lanes)) {
    plan += line + "\n";
  }
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_available"));
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_limited"));
  EXPECT_THAT(plan, Not(HasSubstr("Seq Scan on carrel_jobs"))) << plan;
}

TEST(Postgres, WhatAClaimMayChooseFromIsSought) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  std::string text = sql::postgresql::kStatements.candidates;
  for (std::size_t at = text.find(":queues"); at != text.npos;
       at = text.find(":queues")) {
    text.replace(at, 7, "'[]'");
  }
  std::string plan;
  for (const auto& line :
       postgres().run("SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN " +
                      with_values(text))) {
    plan += line + "\n";
  }
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_available"));
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_limited"));
  for (const std::string table : {"carrel_jobs", "carrel_limits", "carrel_rates"}) {
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan on " + table))) << plan;
  }
  EXPECT_THAT(plan, Not(HasSubstr("Sort"))) << plan;
}

// Of a table of this size a join would rather read all than seek a hundred.
TEST(Postgres, LimitsAndRatesAreWrittenByTheirKeysAlone) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  for (const std::string rows :
       {"carrel_limits (job, run_at, running, limit_key, lane) SELECT i, i, 1, 'k', 'a'",
        "carrel_rates (job, run_at, period_us, starts, rate_key, lane)"
        " SELECT i, i, 1, 1, 'k', 'a'"}) {
    postgres().run("INSERT INTO " + rows + " FROM generate_series(1, 3000) AS r(i)");
  }
  postgres().run("ANALYZE carrel_limits, carrel_rates");
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement : {sql.set_limits, sql.set_rates}) {
    std::string plan;
    for (const auto& line : postgres().run("EXPLAIN " + with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan"))) << plan;
  }
}

// How a page of jobs in the states of a mask is to be found.
struct Page {
  std::string states;
  std::vector<std::string> by;
  std::vector<std::string> not_by;
};

std::string page_of(std::string list, const std::string& states) {
  const std::vector<std::pair<std::string, std::string>> values = {
      {":states", states},
      {":queue", "''"},
      {":kind", "''"},
      {":enqueued_before", "9000000000000000"},
      {":before", "1000000000"}};
  for (const auto& [name, value] : values) {
    for (std::size_t at = list.find(name); at != list.npos; at = list.find(name)) {
      list.replace(at, name.size(), value);
    }
  }
  return list;
}

// Neither what waits nor what has ended is read through for a page of others.
TEST(Postgres, APageReadsWhereItsStatesAre) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  const std::vector<Page> pages = {
      {"4", {"carrel_jobs_pkey"}, {"carrel_history", "carrel_jobs_wake"}},    // available
      {"8", {"carrel_jobs_worker"}, {"carrel_history", "carrel_jobs_pkey"}},  // running
      {"18", {"carrel_jobs_wake"}, {"carrel_history", "carrel_jobs_pkey"}},
      {"32", {"carrel_history_pkey"}, {"carrel_jobs"}},  // completed
      {"128", {"carrel_history_wake"}, {"carrel_jobs", "carrel_history_pkey"}},
      {"255", {"carrel_jobs_pkey", "carrel_history_pkey"}, {"wake"}}};
  for (const auto& [states, by, not_by] : pages) {
    std::string plan;
    for (const auto& line : postgres().run(
             "SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN " +
             with_values(page_of(sql::postgresql::kStatements.list, states)))) {
      plan += line + "\n";
    }
    for (const auto& name : by) EXPECT_THAT(plan, HasSubstr(name)) << states << plan;
    for (const auto& name : not_by) {
      EXPECT_THAT(plan, Not(HasSubstr(name))) << states << plan;
    }
  }
}

TEST(Mariadb, APageReadsWhereItsStatesAre) {
  mariadb_kind().clean();
  auto store = open_store(mariadb().url());
  ASSERT_TRUE(store);
  std::vector<NewJob> jobs(200);  // an empty table is not asked by its indexes
  for (NewJob& job : jobs) job.kind = "work";
  for (const auto& answer : (*store)->insert(jobs, 60s)) ASSERT_TRUE(answer.has_value());
  mariadb().run(
      "INSERT INTO carrel_history (id, state, queue, kind, priority, attempt,"
      " max_attempts, crashes, cancel_requested, fence, finished_fence, wake_at,"
      " enqueued_at, run_at, ended_at, timeout_us, claim_number, worker)"
      " SELECT 1000 + seq, 5, 'q', 'k', 0, 1, 1, 0, 0, 1, 1, 9000000000000000, 1, 1, 1, "
      "0,"
      " 1, '' FROM seq_1_to_200; ANALYZE TABLE carrel_jobs, carrel_history");
  const std::vector<Page> pages = {
      {"4", {}, {"carrel_history", "carrel_jobs_available"}},
      {"8", {"carrel_jobs_available"}, {"carrel_history", "PRIMARY"}},
      {"18", {"carrel_jobs_available"}, {"carrel_history", "PRIMARY"}},
      {"32", {"carrel_history"}, {"carrel_jobs", "carrel_history_wake"}},
      {"128", {"carrel_history_wake"}, {"carrel_jobs", "PRIMARY"}},
      {"255", {"PRIMARY"}, {"_wake", "_available"}}};
  for (const auto& [states, by, not_by] : pages) {
    std::string plan;
    for (const auto& line :
         mariadb().run("EXPLAIN FORMAT=JSON " +
                       with_values(page_of(sql::mariadb::kStatements.list, states)))) {
      plan += line + "\n";
    }
    for (const auto& name : by) EXPECT_THAT(plan, HasSubstr(name)) << states << plan;
    for (const auto& name : not_by) {
      EXPECT_THAT(plan, Not(HasSubstr(name))) << states << plan;
    }
  }
}

// However many jobs a key holds back.
TEST(Postgres, LimitsSeekInTheLineOfTheirKey) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.limits_now, sql.count_lanes, sql.end_lines, sql.pending_of_line}) {
    std::string plan;
    for (const auto& line :
         postgres().run("SET enable_seqscan = off; SET enable_bitmapscan = off; "
                        "SET enable_sort = off; EXPLAIN " +
                        with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, HasSubstr("carrel_limits_line"));
    EXPECT_THAT(plan, Not(HasSubstr("Sort"))) << statement << plan;
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan on carrel_limits"))) << statement << plan;
  }
}

TEST(Postgres, WhetherAnyIsAvailableThatHasALimitIsOneSeek) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  const std::string any = sql::postgresql::kStatements.any_limits;
  EXPECT_EQ(postgres().run(any).at(0), "0");
  postgres().run(
      "INSERT INTO carrel_jobs (id, state, queue, kind, priority, enqueued_at, run_at,"
      " timeout_us, max_attempts) SELECT i, i % 3, 'q', 'k', 0, i, i, 0, 1"
      " FROM generate_series(1, 20000) AS r(i);"
      "ANALYZE carrel_jobs");
  EXPECT_EQ(postgres().run(any).at(0), "0");
  std::string plan;
  for (const auto& line : postgres().run("EXPLAIN " + any)) plan += line + "\n";
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_limited"));
  EXPECT_THAT(plan, Not(HasSubstr("Seq Scan"))) << plan;
  postgres().run("UPDATE carrel_jobs SET state = 18 WHERE id = 1");
  EXPECT_EQ(postgres().run(any).at(0), "1");
}

TEST(Mariadb, WhetherAnyIsAvailableThatHasALimitIsOneSeek) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  const std::string any = sql::mariadb::kStatements.any_limits;
  EXPECT_EQ(mariadb().run(any).at(0), "0");
  mariadb().run(
      "INSERT INTO carrel_jobs (id, state, queue, kind, priority, enqueued_at, run_at,"
      " timeout_us, max_attempts) SELECT seq, seq % 3, 'q', 'k', 0, seq, seq, 0, 1"
      " FROM seq_1_to_20000");
  EXPECT_EQ(mariadb().run(any).at(0), "0");
  const auto read = mariadb().run("FLUSH STATUS; " + any +
                                  "; SELECT SUM(variable_value)"
                                  "  FROM information_schema.session_status"
                                  " WHERE variable_name LIKE 'Handler_read%'");
  EXPECT_LT(std::stoi(read.at(0)), 10);
  mariadb().run("UPDATE carrel_jobs SET state = 18 WHERE id = 1");
  EXPECT_EQ(mariadb().run(any).at(0), "1");
}

// However many jobs wait.
TEST(Postgres, WhatRunsIsCountedWithoutWhatWaits) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  std::string plan;
  for (const auto& line :
       postgres().run("SET enable_seqscan = off; EXPLAIN " +
                      with_values(sql::postgresql::kStatements.running_by_queue))) {
    plan += line + "\n";
  }
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_worker")) << "the index of what runs";
}

TEST(Mariadb, WhatRunsIsCountedWithoutWhatWaits) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  std::string plan;
  for (const auto& line :
       mariadb().run("EXPLAIN FORMAT=JSON " +
                     with_values(sql::mariadb::kStatements.running_by_queue))) {
    plan += line + "\n";
  }
  EXPECT_THAT(plan, HasSubstr("\"access_type\": \"ref\"")) << plan;
  EXPECT_THAT(plan, HasSubstr("carrel_jobs_available"));
  EXPECT_THAT(plan, HasSubstr("\"using_index\": true")) << plan;
}

// However many jobs wait in a lane.
TEST(Mariadb, APollSkipsFromLaneToLane) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  mariadb().run(
      "INSERT INTO carrel_jobs (id, state, queue, kind, priority, enqueued_at, run_at, "
      "timeout_us, max_attempts) SELECT seq, IF(seq % 2 = 0, 2, 18), 'default', 'work', "
      "0, seq, seq, 0, 1 FROM seq_1_to_40000; "
      "ANALYZE TABLE carrel_jobs");
  const auto& sql = sql::mariadb::kStatements;
  std::string find = sql::server::with_values(
      sql.find_lone,
      {{"kinds", "'work', 'mail'"}, {"queues", "NULL"}, {"queues_named", "0"}});
  find.erase(0, find.find(';') + 1);  // START TRANSACTION
  for (const std::string& statement : {std::string(sql.lanes), std::string(sql.all_lanes),
                                       std::string(sql.limited_lanes), find}) {
    std::string plan;
    for (const auto& line : mariadb().run("EXPLAIN FORMAT=JSON " + statement)) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, HasSubstr("using_index_for_group_by")) << statement << plan;
  }
}

// However many jobs wait for the windows of theirs, and however many began.
TEST(Postgres, RatesSeekInTheLineOfTheirKey) {
  postgres_kind().clean();
  ASSERT_TRUE(open_store(postgres().url()));
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.rates_now, sql.end_rate_lines, sql.waiting_of_rate, sql.count_starts,
        sql.count_rate_line, sql.newest_start, sql.due_rates, sql.period_of_rate,
        sql.forget_starts, sql.take_start_back, sql.read_rates}) {
    std::string plan;
    for (const auto& line : postgres().run(
             "SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN " +
             with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan,
                testing::AnyOf(HasSubstr("carrel_rates_"), HasSubstr("carrel_starts_"),
                               HasSubstr("carrel_rate_keys_")));
    EXPECT_THAT(plan, Not(HasSubstr("Sort"))) << statement << plan;
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan on carrel_"))) << statement << plan;
  }
}

// What a statement derives, or is given as JSON, is read whole and may be.
bool reads_a_whole_table(const std::string& plan) {
  const std::string whole = "\"access_type\": \"ALL\"";
  for (auto at = plan.find(whole); at != plan.npos; at = plan.find(whole, at + 1)) {
    const auto begin = plan.rfind('{', at);
    const std::string table = plan.substr(begin, plan.find('}', at) - begin);
    if (table.find("\"table_function\"") == table.npos &&
        table.find("\"table_name\": \"<") == table.npos) {
      return true;
    }
  }
  return false;
}

TEST(Mariadb, RatesSeekInTheLineOfTheirKey) {
  mariadb_kind().clean();
  auto store = open_store(mariadb().url());
  ASSERT_TRUE(store);
  std::vector<NewJob> jobs(200);  // an empty table is not asked by its indexes
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].kind = "work";
    jobs[i].rate = Rate{"k" + std::to_string(i % 50), 1, 1h};
  }
  for (const auto& answer : (*store)->insert(jobs, 60s)) ASSERT_TRUE(answer.has_value());
  const std::vector<std::string> work = {"work"};
  ASSERT_TRUE((*store)->claim_source()->claim({{}, work, 50}, "w", 1, 30s, 0us));
  const auto& sql = sql::mariadb::kStatements;
  for (const char* statement :
       {sql.rates_now, sql.end_rate_lines, sql.next_rate_line, sql.waiting_of_rate,
        sql.count_starts, sql.count_rate_line, sql.newest_start, sql.due_rates,
        sql.period_of_rate, sql.forget_starts, sql.take_start_back}) {
    std::string plan;
    for (const auto& line :
         mariadb().run("EXPLAIN FORMAT=JSON " + with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, Not(HasSubstr("filesort"))) << statement << plan;
    EXPECT_FALSE(reads_a_whole_table(plan)) << statement << plan;
  }
}

// However many began since.
TEST(Mariadb, AStartIsTakenBackByItsWholeKey) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  mariadb().run(
      "INSERT INTO carrel_starts (rate_key, begun_at, job, fence)"
      " SELECT 'k', seq, IF(seq = 10000, 1, seq), 1 FROM seq_1_to_20000;"
      "ANALYZE TABLE carrel_starts");
  const auto read = mariadb().run(
      "FLUSH STATUS; " + with_values(sql::mariadb::kStatements.take_start_back) +
      "; SELECT SUM(variable_value) FROM information_schema.session_status"
      " WHERE variable_name LIKE 'Handler_read%'");
  EXPECT_LT(std::stoi(read.at(0)), 10);
  EXPECT_EQ(mariadb().run("SELECT COUNT(*) FROM carrel_starts").at(0), "19999");
}

TEST(Mariadb, LimitsSeekInTheLineOfTheirKey) {
  mariadb_kind().clean();
  auto store = open_store(mariadb().url());
  ASSERT_TRUE(store);
  std::vector<NewJob> jobs(200);  // an empty table is not asked by its indexes
  for (NewJob& job : jobs) {
    job.kind = "work";
    job.limit = Limit{"k", 1};
  }
  for (const auto& answer : (*store)->insert(jobs, 60s)) ASSERT_TRUE(answer.has_value());
  const auto& sql = sql::mariadb::kStatements;
  for (const char* statement :
       {sql.limits_now, sql.count_lanes, sql.end_lines, sql.next_line,
        sql.pending_of_line, sql.limited_lanes, sql.best_of_limited}) {
    std::string plan;
    for (const auto& line :
         mariadb().run("EXPLAIN FORMAT=JSON " + with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, testing::AnyOf(HasSubstr("carrel_limits_line"),
                                     HasSubstr("carrel_jobs_available")));
    EXPECT_THAT(plan, Not(HasSubstr("filesort"))) << statement << plan;
    EXPECT_THAT(plan, Not(testing::ContainsRegex(
                          "\"access_type\": \"index\",[^}]*\"key\": \"carrel_limits")))
        << statement << plan;
  }
}

// A scan would lock rows that nobody asked for; a small table gets one if it may.
TEST(Mariadb, RowsAreWrittenByTheirKeysAlone) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  const auto& sql = sql::mariadb::kStatements;
  for (const char* statement :
       {sql.mark, sql.renew, sql.save_jobs, sql.free_jobs, sql.hold_jobs, sql.set_limits,
        sql.set_rates, sql.delete_tally}) {
    std::string plan;
    for (const auto& line :
         mariadb().run("EXPLAIN FORMAT=JSON " + with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, HasSubstr("\"access_type\": \"eq_ref\"")) << statement << plan;
  }
}

// What a session prepares as `name`, with some value for each parameter.
std::string prepared(const std::string& name) {
  std::string text = sql::mariadb::kStatements.prepare;
  text.erase(0, text.find("PREPARE " + name + " FROM"));
  text.erase(0, text.find('\'') + 1);
  text.resize(text.find('\''));
  for (std::size_t at = text.find('?'); at != std::string::npos; at = text.find('?')) {
    text.replace(at, 1, text.substr(0, at).ends_with("LIMIT ") ? "1" : "X'31'");
  }
  return text;
}

TEST(Mariadb, AClaimSortsNothing) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  const auto& sql = sql::mariadb::kStatements;
  for (const std::string& statement :
       {std::string(sql.pick_lane), std::string(sql.pick_lone),
        prepared("carrel_pick")}) {
    std::string plan;
    for (const auto& line :
         mariadb().run("SET @carrel_lanes = 1, @carrel_now = 1, @carrel_queue = X'61',"
                       " @carrel_kind = X'61'; EXPLAIN FORMAT=JSON " +
                       with_values(statement))) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, HasSubstr("carrel_jobs_available"));
    EXPECT_THAT(plan, HasSubstr("\"used_key_parts\": [\"state\", \"queue\", \"kind\"]"));
    EXPECT_THAT(plan, Not(HasSubstr("filesort"))) << "it would lock every candidate";
  }
}

TEST(Mariadb, AClaimMarksByTheKeyAlone) {
  mariadb_kind().clean();
  ASSERT_TRUE(open_store(mariadb().url()));
  std::string mark = with_values(sql::mariadb::kStatements.mark_and_commit);
  mark.replace(mark.find("'[1]'"), 5, "1, 2");
  mark.resize(mark.find(';'));
  for (const std::string& statement : {mark, prepared("carrel_mark")}) {
    std::string plan;
    for (const auto& line : mariadb().run("EXPLAIN FORMAT=JSON " + statement)) {
      plan += line + "\n";
    }
    EXPECT_THAT(plan, HasSubstr("\"access_type\": \"range\"")) << plan;
    EXPECT_THAT(plan, HasSubstr("PRIMARY")) << plan;
  }
}

}  // namespace
}  // namespace carrel::test
