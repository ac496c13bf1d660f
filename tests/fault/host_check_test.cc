// What is compared with a host's rows: each case tells one lie.
#include "host_check.h"

#include <carrel/memory.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "work.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Two jobs: of the first all was done in a host's transactions, of the second nothing.
class HostCheck : public testing::Test {
 protected:
  HostCheck() {
    for (const int n : {0, 1}) {
      NewJob job;
      job.kind = kKind;
      job.payload = Json{{"n", n}}.dump();
      const auto in = store_->insert({&job, 1}, 1h).at(0).value();
      const auto run =
          store_->claim({&*in.ticket, 1}, "w", 1, 1h).value().at(0).value().lease;
      Finish finish;
      finish.lease = run;
      EXPECT_TRUE(store_->finish({&finish, 1}).at(0));
      (n == 0 ? first_ : second_) = run;
    }
    rows_ = {{{first_.id, Fence{}}}, {first_}};
  }
  HostReport report(JobId after = {}) {
    const auto is_first = [](std::size_t n) { return n == 0; };
    return check_host(*store_, rows_, {is_first, is_first}, after);
  }
  void expect_broken(const char* text) {
    EXPECT_THAT(report().broken, ElementsAre(HasSubstr(text)));
  }

  const std::unique_ptr<Store> store_ = make_memory_store({});
  Lease first_;
  Lease second_;
  HostDb::Rows rows_;
};

TEST_F(HostCheck, FindsNothingWhereAllIsWell) {
  EXPECT_THAT(report().broken, IsEmpty());
  EXPECT_EQ(report().enqueued, 1U);
  EXPECT_EQ(report().completed, 1U);
  rows_ = {};
  EXPECT_THAT(report(first_.id).broken, IsEmpty()) << "it was looked at before";
}

TEST_F(HostCheck, SeesAJobWithoutItsRow) {
  rows_.enqueued.clear();
  expect_broken("job 1: 0 rows of the host's say that it was enqueued");
}

TEST_F(HostCheck, SeesARowWithoutItsJob) {
  rows_.enqueued.push_back({JobId{9}, Fence{}});
  expect_broken("job 9: the host has a row, and no job");
}

TEST_F(HostCheck, SeesACompletionWithoutItsRow) {
  rows_.completed.clear();
  expect_broken("job 1: 0 rows of the host's say that it was completed");
}

TEST_F(HostCheck, SeesARowOfARunThatDidNotCompleteIt) {
  rows_.completed.push_back({first_.id, Fence{7}});
  expect_broken("job 1: 2 rows of the host's say that it was completed");
  rows_.completed.erase(rows_.completed.begin());
  expect_broken("job 1: the host's row says that another run has completed it");
  rows_.completed = {first_, second_};
  expect_broken("job 2: 1 rows of the host's say that it was completed");
}

}  // namespace
}  // namespace carrel::fault
