// PostgreSQL plans what the store prepares once, for every run: the plans that it makes
// then, in a session of the store's own.
#include <cctype>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postgresql/driver.h"
#include "postgresql/statements.h"
#include "server_case.h"

namespace carrel::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// With $1, $2, … for the parameters as SOCI names them, and how many those are.
std::pair<std::string, int> numbered(const std::string& text) {
  std::string sql;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != ':' || text[i + 1] == ':') {
      const std::size_t length = text[i] == ':' ? 2 : 1;
      sql.append(text, i, length);
      i += length;
      continue;
    }
    std::size_t end = i + 1;
    while (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_') ++end;
    const std::string name = text.substr(i, end - i);
    std::size_t n = 0;
    while (n < names.size() && names[n] != name) ++n;
    if (n == names.size()) names.push_back(name);
    sql += "$" + std::to_string(n + 1);
    i = end;
  }
  return {sql, static_cast<int>(names.size())};
}

class PostgresPlans : public testing::Test {
 protected:
  // Many wait, in no order of the table's pages, so that who reads them by the index
  // for their order seems to jump about; and this is known.
  void SetUp() override {
    postgres_kind().clean();
    ASSERT_TRUE(open_store(postgres().url()));
    postgres().run(
        "INSERT INTO carrel_jobs (id, state, queue, kind, priority, enqueued_at, run_at,"
        " timeout_us, max_attempts) SELECT i, 2, 'default', 'work', 0, i,"
        " (i::bigint * 7919) % 100003, 0, 1 FROM generate_series(1, 50000) AS r(i);"
        "ANALYZE carrel_jobs");
    auto settings = sql::postgresql::settings_of(*Url::parse(postgres().url()));
    ASSERT_TRUE(settings.has_value());
    driver_.emplace(std::move(*settings));
    session_ = driver_->connect_plainly();
  }

  std::string plan_of(const char* statement) {
    const auto [sql, parameters] = numbered(statement);
    session_->execute(("PREPARE asked AS " + sql).c_str());
    std::string values;
    for (int i = 0; i < parameters; ++i) values += values.empty() ? "(NULL" : ", NULL";
    if (!values.empty()) values += ")";
    const std::string plan = session_->execute(
        ("EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE asked" + values).c_str());
    session_->execute("DEALLOCATE asked");
    return plan;
  }

  std::optional<sql::postgresql::PostgresDriver> driver_;
  std::unique_ptr<sql::postgresql::PostgresSession> session_;
};

TEST_F(PostgresPlans, KnowNoValueAndFollowTheIndexOfWhatIsAvailable) {
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.claim_lanes, sql.claim_lane, sql.claim_lane_unless_limited, sql.claim_lone,
        sql.claim_lone_unless_limited, sql.candidates, sql.best_of_lanes}) {
    const std::string plan = plan_of(statement);
    EXPECT_THAT(plan, HasSubstr("carrel_jobs_available")) << statement;
    EXPECT_THAT(plan, HasSubstr("$1")) << "it was planned for these values";
    EXPECT_THAT(plan, Not(HasSubstr("\"Sort\""))) << statement << plan;
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan"))) << statement << plan;
  }
}

TEST_F(PostgresPlans, FollowTheIndexOfWhatIsAvailableAndLimited) {
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.candidates, sql.limited_lanes, sql.best_of_limited, sql.any_limits}) {
    const std::string plan = plan_of(statement);
    EXPECT_THAT(plan, HasSubstr("carrel_jobs_limited")) << statement;
    EXPECT_THAT(plan, Not(HasSubstr("\"Sort\""))) << statement << plan;
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan"))) << statement << plan;
  }
}

// Where the statistics know of nothing that runs, it seems quickest to begin there, for
// each key anew.
TEST_F(PostgresPlans, CountWhatRunsOfAKeyWithoutAllElseThatRuns) {
  postgres().run(
      "INSERT INTO carrel_limits (job, run_at, running, state, limit_key, lane)"
      " SELECT i, i, 1, 2, 'key-' || i, 'a' FROM generate_series(1, 20000) AS r(i);"
      "ANALYZE carrel_limits");
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.claim_within, sql.limits_now, sql.count_lanes, sql.unreserve}) {
    const std::string plan = plan_of(statement);
    EXPECT_THAT(plan, HasSubstr("carrel_limits_line")) << statement;
    EXPECT_THAT(plan, Not(HasSubstr("carrel_jobs_worker"))) << statement << plan;
    EXPECT_THAT(plan, Not(HasSubstr("carrel_jobs_available"))) << statement << plan;
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan"))) << statement << plan;
  }
}

TEST_F(PostgresPlans, FindRowsByTheirKeys) {
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.claim_ids, sql.claim_within, sql.complete, sql.complete_and_forget, sql.renew,
        sql.due_jobs, sql.running_of_worker, sql.list}) {
    EXPECT_THAT(plan_of(statement), Not(HasSubstr("Seq Scan"))) << statement;
  }
}

// However many of its key began since.
TEST_F(PostgresPlans, FindAStartByItsWholeKey) {
  postgres().run(
      "INSERT INTO carrel_starts (rate_key, begun_at, job, fence)"
      " SELECT 'k', i, i, 1 FROM generate_series(1, 20000) AS r(i);"
      "ANALYZE carrel_starts");
  const std::string plan = plan_of(sql::postgresql::kStatements.take_start_back);
  EXPECT_THAT(plan, testing::ContainsRegex("\"Index Cond\": [^\n]*begun_at = ")) << plan;
}

// Not along the index, for its order, whatever it is that they want of the rows.
TEST_F(PostgresPlans, SeekEachRowThatIsLocked) {
  const auto& sql = sql::postgresql::kStatements;
  for (const char* statement :
       {sql.lock_jobs, sql.try_jobs, sql.lock_runs, sql.try_runs, sql.lock_history}) {
    const std::string plan = plan_of(statement);
    EXPECT_THAT(plan, HasSubstr("\"Index Cond\"")) << statement << plan;
    EXPECT_THAT(plan, Not(HasSubstr("Seq Scan"))) << statement << plan;
  }
  // Nor does each row look through all that are asked for.
  EXPECT_THAT(plan_of(sql.lock_runs), HasSubstr("hashed SubPlan"));
}

// A plan that looks dear, since nothing is known of its LIMIT, would be compiled for
// every run; that takes longer than most of them.
TEST_F(PostgresPlans, AreNotCompiled) { EXPECT_EQ(session_->execute("SHOW jit"), "off"); }

}  // namespace
}  // namespace carrel::test
