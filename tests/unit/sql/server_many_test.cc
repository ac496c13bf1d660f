// Pages of a list, over servers, of a state that more jobs are in than are sorted for
// one.
#include <carrel/store.h>

#include <string>
#include <thread>
#include <vector>

#include "server_case.h"

namespace carrel::test {
namespace {

using testing::SizeIs;

// Rows of carrel_history, in every second of which a state is that few are in elsewhere.
class ServerManyOfAState : public Server {
 protected:
  std::string deaf() const { return is_postgresql(kind()) ? "?listen=off" : ""; }
  static constexpr int kRows = 300'000;

  void bring() {
    const std::string ids = is_postgresql(kind()) ? "generate_series(1, " : "seq_1_to_";
    const std::string n = std::to_string(kRows);
    kind().run(
        "INSERT INTO carrel_history (id, fence, finished_fence, wake_at, enqueued_at,"
        " run_at, ended_at, timeout_us, claim_number, attempt, max_attempts, crashes,"
        " state, priority, cancel_requested, queue, kind, worker)"
        " SELECT n, 1, 1, 1 + n * 37 % 1000, 1, 1, 1, 1, 1, 1, 1, 0, 5 + n % 2, 0, 0,"
        " 'default', 'work', 'w' FROM " +
        (is_postgresql(kind()) ? ids + n + ") AS of(n)"
                               : "(SELECT seq AS n FROM " + ids + n + ") AS of"));
    kind().run("ANALYZE" + std::string(is_postgresql(kind()) ? "" : " TABLE") +
               " carrel_history");
  }
  long long rows_read() const {
    return std::stoll(kind()
                          .run(is_postgresql(kind())
                                   ? "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes"
                                     " WHERE relname = 'carrel_history'"
                                   : "SELECT CAST(SUM(variable_value) AS SIGNED)"
                                     " FROM information_schema.global_status"
                                     " WHERE variable_name LIKE 'HANDLER\\_READ\\_%'")
                          .at(0));
  }
  // PostgreSQL says all that a session has read when that has ended.
  long long rows_read_since(long long before) const {
    const auto until = SteadyClock::now() + 30s;
    while (is_postgresql(kind()) &&
           kind().run("SELECT count(*) FROM pg_stat_activity WHERE application_name ="
                      " 'carrel'")[0] != "0" &&
           SteadyClock::now() < until) {
      std::this_thread::sleep_for(10ms);
    }
    return rows_read() - before;
  }
};
INSTANTIATE_TEST_SUITE_P(Of, ServerManyOfAState,
                         testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

TEST_P(ServerManyOfAState, APageIsFoundAmongTheNextRows) {
  ASSERT_TRUE(open(url(deaf())));
  bring();
  const auto before = rows_read();
  {
    const auto store = open(url(deaf()));
    const Filter cancelled{.states = {State::kCancelled}};
    JobId last{};
    int next = kRows - 1;
    for (int page = 0; page < 3; ++page) {
      const auto records = store->monitor().list(cancelled, last, 100);
      ASSERT_TRUE(records) << records.error().message;
      ASSERT_THAT(*records, SizeIs(100));
      for (const JobRecord& record : *records) {
        EXPECT_EQ(value(record.id), static_cast<std::uint64_t>(next));
        EXPECT_EQ(record.state, State::kCancelled);
        next -= 2;
      }
      last = records->back().id;
    }
  }
  const auto read = rows_read_since(before);
  EXPECT_GT(read, 3 * 15'000) << "this is what was measured";
  EXPECT_LT(read, 3 * 80'000) << "not all 150,000 for every page";
}

TEST_P(ServerManyOfAState, OneThatIsFarAwayIsFoundAllTheSame) {
  const auto store = open(url(deaf()));
  ASSERT_TRUE(store);
  bring();
  kind().run("UPDATE carrel_history SET state = 5 WHERE id > 50000");
  const auto page =
      store->monitor().list({.states = {State::kDiscarded, State::kCancelled}}, {}, 3);
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_THAT(*page, SizeIs(3));
  EXPECT_EQ(value(page->at(0).id), 49'999U);
  EXPECT_EQ(value(page->at(2).id), 49'995U);
}

// Of jobs that wait, with all that a filter can say.
TEST_P(ServerManyOfAState, APageOfThoseThatWaitIsWhatTheFilterSays) {
  const auto store = open(url(deaf()));
  ASSERT_TRUE(store);
  std::vector<NewJob> jobs(40'000, job());  // two thirds are more than 20,000
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (i % 3 != 0) jobs[i].delay = 1h;
    if (i % 5 == 0) jobs[i].kind = "fifth";
    if (i < 10) jobs[i].queue = "first";
  }
  const auto ids = insert_all(*store, jobs);
  ASSERT_THAT(ids, SizeIs(jobs.size()));
  const auto expect_page = [&](const Filter& filter, std::size_t before) {
    std::vector<JobId> expected;
    for (std::size_t i = before; i-- > 0 && expected.size() < 7;) {
      const bool is_in = i % 3 != 0 &&
                         (filter.kind.empty() || filter.kind == jobs[i].kind) &&
                         (filter.queue.empty() || filter.queue == jobs[i].queue);
      if (is_in) expected.push_back(ids[i]);
    }
    const auto page =
        store->monitor().list(filter, before < ids.size() ? ids[before] : JobId{}, 7);
    ASSERT_TRUE(page) << page.error().message;
    std::vector<JobId> listed;
    for (const JobRecord& record : *page) listed.push_back(record.id);
    EXPECT_EQ(listed, expected);
  };
  for (const std::size_t before :
       {std::size_t{40'000}, std::size_t{20'000}, std::size_t{8}}) {
    expect_page({.states = {State::kScheduled}}, before);
    expect_page({.states = {State::kScheduled, State::kRetryable}}, before);
    expect_page({.states = {State::kScheduled}, .kind = "fifth"}, before);
    expect_page({.states = {State::kScheduled}, .queue = "first"}, before);
    expect_page({.states = {State::kScheduled, State::kScheduled, State::kRunning}},
                before);
  }
}

}  // namespace
}  // namespace carrel::test
