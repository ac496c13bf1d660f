// Pages of a list, and claims of what is long, over servers: they are read in answers of
// a bounded length, which nobody sees in what they hold.
#include <carrel/store.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server_case.h"
#include "servers/proxy.h"

namespace carrel::test {
namespace {

using testing::SizeIs;

class ServerPages : public Server {
 protected:
  std::unique_ptr<Store> open_through(const Proxy& proxy) {
    return open(url(proxy.port(), deaf()));
  }
  // Under a sanitizer what is long takes long.
  std::string deaf() const {
    return std::string("?call_timeout=60s") +
           (is_postgresql(kind()) ? "&listen=off" : "");
  }
};
INSTANTIATE_TEST_SUITE_P(Of, ServerPages,
                         testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

TEST_P(ServerPages, APageOfLongJobsComesInSeveralAnswers) {
  constexpr std::size_t kSize = 1U << 20;  // a payload, a result
  constexpr std::size_t kAnswer = 8U << 20;
  const auto text = [](char what, int n) {
    return std::string(kSize, static_cast<char>(what + n));
  };
  const auto store = open(url(deaf()));
  std::vector<JobId> ids;
  for (int n = 0; n < 3; ++n) {  // these have ended
    ids.push_back(insert(*store, job(text('a', n)))->id);
    auto ends = finishes(claim(*store, 1));
    ASSERT_THAT(ends, SizeIs(1));
    ends[0].result = text('A', n);
    ASSERT_TRUE(store->finish(ends).at(0).has_value());
  }
  for (int n = 3; n < 9; ++n) {
    ids.push_back(insert(*store, job(text('a', n)))->id);
    ids.push_back(insert(*store)->id);  // one that is short
  }
  const Proxy proxy(kind().port());
  const auto reader = open_through(proxy);
  auto page = reader->monitor().list({}, {}, 100);
  ASSERT_TRUE(page.has_value()) << page.error().message;
  std::reverse(page->begin(), page->end());
  ASSERT_THAT(*page, SizeIs(ids.size()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const JobRecord& record = page->at(i);
    const int n = static_cast<int>(i < 3 ? i : 3 + (i - 3) / 2);
    EXPECT_EQ(record.id, ids[i]);
    EXPECT_EQ(record.state, i < 3 ? State::kCompleted : State::kAvailable);
    EXPECT_TRUE(record.payload == (i < 3 || i % 2 == 1 ? text('a', n) : "{}")) << i;
    EXPECT_TRUE(record.result == (i < 3 ? text('A', n) : "")) << i;
  }
  EXPECT_GT(proxy.longest_answer(), 2 * kSize) << "this is what was measured";
  EXPECT_LT(proxy.longest_answer(), 2 * (kAnswer + 2 * kSize));
}

TEST_P(ServerPages, APageOfManyShortJobsIsWhole) {
  const auto store = open(url());
  auto ids = insert_all(*store, std::vector<NewJob>(2'000, job()));
  ASSERT_THAT(ids, SizeIs(2'000));
  std::reverse(ids.begin(), ids.end());
  const Proxy proxy(kind().port());
  const auto reader = open_through(proxy);
  ASSERT_TRUE(reader->monitor().list({}, {}, 1).has_value());
  const int before = proxy.sent();
  const auto page = reader->monitor().list({}, {}, 1'900);
  ASSERT_TRUE(page.has_value()) << page.error().message;
  ids.resize(1'900);
  std::vector<JobId> listed;
  for (const JobRecord& record : *page) listed.push_back(record.id);
  EXPECT_EQ(listed, ids);
  EXPECT_LT(proxy.sent() - before, 50) << "in few calls";
}

TEST_P(ServerPages, SoDoesOneOfJobsWithLongAttempts) {
  constexpr std::size_t kJobs = 28;
  constexpr std::size_t kAttempts = 20;
  constexpr std::size_t kSize = 26U << 10;  // of each
  constexpr std::size_t kAnswer = 8U << 20;
  const auto store = open(url(deaf()));
  auto ids = insert_all(*store, std::vector<NewJob>(kJobs, job()));
  const std::string bytes = is_postgresql(kind()) ? "::bytea" : "";
  for (std::size_t n = 1; n <= kAttempts; ++n) {
    const std::string number = std::to_string(n);
    const std::string half = ", REPEAT('x', " + std::to_string(kSize / 2) + ")" + bytes;
    kind().run(
        "INSERT INTO carrel_attempts (job, fence, attempt, class, wall_us, ended_at,"
        " worker, message, stderr_tail) SELECT id, " +
        number + ", " + number + ", 1, 0, 0, 'w'" + half + half + " FROM carrel_jobs");
  }
  const Proxy proxy(kind().port());
  const auto reader = open_through(proxy);
  const auto page = reader->monitor().list({}, {}, 100);
  ASSERT_TRUE(page.has_value()) << page.error().message;
  ASSERT_THAT(*page, SizeIs(kJobs));
  std::reverse(ids.begin(), ids.end());
  for (std::size_t i = 0; i < kJobs; ++i) {
    EXPECT_EQ(page->at(i).id, ids[i]);
    ASSERT_THAT(page->at(i).attempts, SizeIs(kAttempts));
    for (std::size_t n = 0; n < kAttempts; ++n) {
      EXPECT_EQ(page->at(i).attempts[n].attempt, n + 1);
      EXPECT_TRUE(page->at(i).attempts[n].message == std::string(kSize / 2, 'x'));
    }
  }
  EXPECT_GT(proxy.longest_answer(), 2 * kAttempts * kSize) << "this is what was measured";
  EXPECT_LT(proxy.longest_answer(), 2 * (kAnswer + 2 * kAttempts * kSize));
}

// Rows of carrel_history, in every second of which a state is that few are in elsewhere.
class ServerManyOfAState : public ServerPages {
 protected:
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
  std::vector<NewJob> jobs(30'000, job());
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
       {std::size_t{30'000}, std::size_t{20'000}, std::size_t{8}}) {
    expect_page({.states = {State::kScheduled}}, before);
    expect_page({.states = {State::kScheduled, State::kRetryable}}, before);
    expect_page({.states = {State::kScheduled}, .kind = "fifth"}, before);
    expect_page({.states = {State::kScheduled}, .queue = "first"}, before);
    expect_page({.states = {State::kScheduled, State::kScheduled, State::kRunning}},
                before);
  }
}

// It reads what is long to say how long it is.
class MariadbLong : public testing::Test {
 protected:
  static constexpr std::size_t kJobs = 24;
  static constexpr std::size_t kSize = 4U << 20;  // a payload

  void SetUp() override {
    kind_.clean();
    store_ = open_store(kind_.url(kind_.port()) + "?call_timeout=60s").value();
    NewJob job;
    job.kind = "work";
    job.payload = "{}";
    for (const auto& answer : store_->insert(std::vector<NewJob>(kJobs, job), 60s)) {
      ASSERT_TRUE(answer.has_value()) << answer.error().message;
    }
    kind_.run(
        "INSERT INTO carrel_payloads (job, bytes)"
        " SELECT id, REPEAT(CHAR(96 + id), " +
        std::to_string(kSize) + ") FROM carrel_jobs");
    kind_.run("UPDATE carrel_jobs SET payload = NULL");
  }
  static std::string payload_of(JobId id) {
    return std::string(kSize, static_cast<char>(96 + value(id)));
  }
  // Of such payloads, how many times what one takes.
  std::size_t payloads_read() const {
    constexpr std::size_t kPage = 16U << 10;
    const auto pages = kind_.run(
        "SELECT variable_value FROM information_schema.global_status"
        " WHERE variable_name = 'INNODB_BUFFER_POOL_READ_REQUESTS'");
    return std::stoull(pages.at(0)) / (kSize / kPage);
  }

  const Kind kind_ = mariadb_kind();
  std::unique_ptr<Store> store_;
};

TEST_F(MariadbLong, AClaimReadsEachPayloadTwice) {
  const std::vector<std::string> kinds = {"work"};
  const auto before = payloads_read();
  const auto runs = store_->claim_source()->claim({{}, kinds, kJobs}, "w", 1, 60s, 0us);
  const auto read = payloads_read() - before;
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  ASSERT_THAT(*runs, SizeIs(kJobs));
  for (const Claimed& run : *runs) {
    EXPECT_TRUE(run.payload == payload_of(run.lease.id));
  }
  EXPECT_GE(read, kJobs) << "this is what was measured";
  EXPECT_LT(read, 3 * kJobs);
}

TEST_F(MariadbLong, APageReadsFewMoreThanItHolds) {
  constexpr std::size_t kFit = kMaxListBytes / kSize;
  const auto before = payloads_read();
  const auto page = store_->monitor().list({}, {}, kJobs);
  const auto read = payloads_read() - before;
  ASSERT_TRUE(page.has_value()) << page.error().message;
  ASSERT_THAT(*page, SizeIs(kFit));
  for (const JobRecord& job : *page) EXPECT_TRUE(job.payload == payload_of(job.id));
  EXPECT_GE(read, kFit) << "this is what was measured";
  EXPECT_LT(read, 4 * kFit);
}

}  // namespace
}  // namespace carrel::test
