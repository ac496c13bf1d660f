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

TEST_P(ServerPages, AJobThatTheServerDoesNotSendAnyMoreIsNamed) {
  if (is_postgresql(kind())) GTEST_SKIP() << "it has no limit of what it sends";
  const std::string was = kind().run("SELECT @@GLOBAL.max_allowed_packet").at(0);
  const AtEnd back(kind(), "SET GLOBAL max_allowed_packet = " + was);
  const auto id = insert(*open(url()), job(std::string(1U << 20, 'x')))->id;
  kind().run("SET GLOBAL max_allowed_packet = 1048576");
  const auto store = open(url());
  const auto expect_named = [&] {
    const auto runs = store->claim_source()->claim({{}, kWork, 1}, "w", 1, 30s, 0us);
    ASSERT_FALSE(runs.has_value());
    EXPECT_THAT(runs.error().message,
                testing::HasSubstr("job " + std::to_string(value(id)) + ":"));
  };
  expect_named();
  // Also where a host's own statements have put it into the row.
  kind().run("UPDATE carrel_jobs SET payload = REPEAT('x', 600000)");
  kind().run("DELETE FROM carrel_payloads");
  expect_named();
}

}  // namespace
}  // namespace carrel::test
