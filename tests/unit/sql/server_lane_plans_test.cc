// MariaDB reads all that waits where it learned of its tables while they were empty.
#include <string>
#include <thread>
#include <vector>

#include "mariadb/statements.h"
#include "server_case.h"

namespace carrel::test {
namespace {

class LanePlans : public Server {
 protected:
  void SetUp() override {
    Server::SetUp();
    store_ = open(url());
    ASSERT_TRUE(store_);
    learn();
  }
  static void learn() { mariadb().run("ANALYZE TABLE carrel_jobs"); }
  // So many jobs are available, in so many lanes; 18: to who asks for their limits.
  static void add(int jobs, int lanes, int first = 1, int state = 2) {
    const std::string numbers =
        std::to_string(first) + "_to_" + std::to_string(first + jobs - 1);
    mariadb().run(
        "INSERT INTO carrel_jobs (id, state, queue, kind, priority, enqueued_at, run_at,"
        " timeout_us, max_attempts, payload) SELECT seq, " +
        std::to_string(state) + ", CONCAT('q', seq % " + std::to_string(lanes) +
        "), 'work', 0, seq, seq, 0, 1, '{}' FROM seq_" + numbers);
  }
  static long long count(const std::string& what) {
    return std::stoll(
        mariadb()
            .run("SELECT variable_value FROM information_schema.global_status"
                 " WHERE variable_name = '" +
                 what + "'")
            .at(0));
  }
  // The rows of indexes that a claim of one job reads one after the other.
  long long rows_of_a_claim() {
    const auto before = count("HANDLER_READ_NEXT");
    EXPECT_EQ(claim(*store_, 1).size(), 1U);
    return count("HANDLER_READ_NEXT") - before;
  }
  void sweep() {
    const auto swept = store_->sweep(100);
    ASSERT_TRUE(swept.has_value()) << swept.error().message;
  }

  std::unique_ptr<Store> store_;
};
INSTANTIATE_TEST_SUITE_P(Of, LanePlans, testing::Values(mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

TEST_P(LanePlans, AreMendedByASweepWhereManyJobsCameToAnEmptyTable) {
  add(20'000, 2);
  sweep();  // who looks for no lanes has nothing mended
  if (rows_of_a_claim() < 20'000) GTEST_SKIP() << "the server has opened the table anew";
  sweep();
  EXPECT_LT(rows_of_a_claim(), 100);
}

TEST_P(LanePlans, AreMendedOfThoseThatAskForLimitsToo) {
  add(1, 1);
  ASSERT_EQ(claim(*store_, 1).size(), 1U);
  add(20'000, 2, 2, 18);
  sweep();
  std::string plan;
  for (const auto& line : mariadb().run(std::string("EXPLAIN FORMAT=JSON ") +
                                        sql::mariadb::kStatements.limited_lanes)) {
    plan += line + "\n";
  }
  EXPECT_THAT(plan, testing::HasSubstr("using_index_for_group_by")) << plan;
}

// Nothing else is available: it is for their sake.
TEST_P(LanePlans, AreLookedAtForThemAlone) {
  add(3'000, 3'000, 1, 18);
  learn();
  const auto analyzed = count("COM_ANALYZE");
  const std::vector<std::string> kinds = {"work"};
  ASSERT_TRUE(store_->peek({{}, kinds, 1}));
  sweep();
  EXPECT_EQ(count("COM_ANALYZE"), analyzed + 1);
}

// As a worker does whose queue is another's.
TEST_P(LanePlans, AreMendedForWhoPeeksOnly) {
  add(3'000, 3'000);
  learn();
  const std::vector<std::string> kinds = {"work"};
  const auto analyzed = count("COM_ANALYZE");
  ASSERT_TRUE(store_->peek({{}, kinds, 1}));
  sweep();
  EXPECT_EQ(count("COM_ANALYZE"), analyzed + 1);
}

// Of kinds that nobody here handles.
TEST_P(LanePlans, AreMendedWhereNothingThatWaitsIsClaimed) {
  BackendOptions options;
  options.poll = 10ms;
  store_ = open(url(), options);
  ASSERT_TRUE(store_);
  const std::vector<std::string> others = {"other"};
  const auto source = store_->claim_source();
  const auto claim_others = [&](Duration wait) {
    return source->claim({{}, others, 1}, "w", ++claims_, 30s, wait);
  };
  ASSERT_TRUE(claim_others(0us));
  std::thread waits([&] { EXPECT_TRUE(claim_others(10min)); });
  add(3'000, 3'000);
  learn();
  const auto analyzed = count("COM_ANALYZE");
  const auto until = SteadyClock::now() + 60s;
  // Once perhaps for what the claim itself looked at, as it began to wait.
  for (const int times : {1, 2}) {
    while (count("COM_ANALYZE") < analyzed + times && SteadyClock::now() < until) sweep();
    EXPECT_EQ(count("COM_ANALYZE"), analyzed + times);
    if (times == 1) add(20'000, 20'000, 3'001);
  }
  source->interrupt();
  waits.join();
}

// Where nearly each job has a lane of its own they are read rightly.
TEST_P(LanePlans, AreNotMendedAgainWhereThatDoesNotHelp) {
  add(3'000, 3'000);
  learn();
  const auto analyzed = count("COM_ANALYZE");
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(claim(*store_, 1).size(), 1U);
    sweep();
  }
  EXPECT_EQ(count("COM_ANALYZE") - analyzed, 1);
  add(20'000, 20'000, 3'001);
  ASSERT_EQ(claim(*store_, 1).size(), 1U);
  sweep();
  EXPECT_EQ(count("COM_ANALYZE") - analyzed, 2) << "many more";
}

}  // namespace
}  // namespace carrel::test
