// The gateway and the table, which everything else is measured by.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

#include "database.h"
#include "gateway.h"
#include "results.h"
#include "sender.h"

namespace sms {
namespace {

TEST(Gateway, CountsRequestsAndSendsAKeyOnce) {
  Gateway gateway(std::chrono::milliseconds(0));
  const std::string url = gateway.endpoint() + "/group";
  for (const char* key : {"a", "a", "b", "", ""}) ASSERT_TRUE(send_sms(url, "+49", key));
  EXPECT_EQ(gateway.counts("group").requests, 5U);
  EXPECT_EQ(gateway.counts("group").messages, 4U);
  EXPECT_EQ(gateway.counts("another").requests, 0U);
}

TEST(Gateway, ThatIsNotThereIsUnavailable) {
  std::string url;
  {
    const Gateway gone(std::chrono::milliseconds(0));
    url = gone.endpoint();
  }
  const auto sent = send_sms(url + "/group", "+49");
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, carrel::Code::kUnavailable);
}

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    std::string name =
        (std::filesystem::temp_directory_path() / "carrel-sms-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder");
    folder_ = name;
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }
  std::string url() const { return "sqlite:" + (folder_ / "credits.db").string(); }

 private:
  std::filesystem::path folder_;
};

TEST_F(DatabaseTest, OneStatementNeverTakesMoreThanThereIs) {
  Database db(url());
  db.set("c", 50);
  std::vector<std::thread> threads;
  std::atomic<int> taken{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Database mine(url());
      for (int i = 0; i < 25; ++i) taken += mine.take_one_if_any("c") ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 50);
  EXPECT_EQ(db.credits("c"), 0);
  db.take_one("c");
  EXPECT_EQ(db.credits("c"), -1) << "the set alone asks nobody";
}

TEST_F(DatabaseTest, ATransactionThatIsNotCommittedIsNone) {
  Database db(url());
  db.set("c", 2);
  {
    Database::Transaction transaction(db);
    ASSERT_TRUE(db.take_one_if_any("c"));
  }
  EXPECT_EQ(db.credits("c"), 2);
  {
    Database::Transaction transaction(db);
    ASSERT_TRUE(db.take_one_if_any("c"));
    transaction.commit();
  }
  EXPECT_EQ(db.credits("c"), 1);
}

Group group_of(const std::string& name, std::vector<std::size_t> messages) {
  Group group{way(name), 10, 50, {}};
  for (const std::size_t n : messages) {
    Run run;
    run.messages = run.requests = n;
    run.result.left = 10 - static_cast<long long>(n);
    group.runs.push_back(run);
  }
  return group;
}

TEST(Judge, AWrongRunOfARightWayIsSeenAndAWrongWayMustBeSeenToBeWrong) {
  Report report;
  report.groups = {group_of("mutex", {10, 10}), group_of("threads", {10, 12})};
  EXPECT_TRUE(judge(report).empty());
  EXPECT_EQ(verdict(report.groups[0]), "is right in all 2 runs");
  EXPECT_EQ(verdict(report.groups[1]),
            "overspends in 1 of 2 runs; chance let 1 be right");
  report.groups = {group_of("mutex", {10, 11})};
  EXPECT_EQ(judge(report).size(), 1U);
  report.groups = {group_of("mutex", {10, 9})};
  EXPECT_EQ(judge(report).size(), 1U) << "one message is missing";
  report.groups = {group_of("threads", {10, 10})};
  EXPECT_EQ(judge(report).size(), 1U);
  report.groups = {group_of("complete", {10})};
  EXPECT_EQ(judge(report).size(), 1U) << "nobody was killed";
}

}  // namespace
}  // namespace sms
