// The checker's rule of unique keys, seen to be broken: each case tells one lie.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "checker_keys.h"

namespace carrel::conformance {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kKey = 7;
constexpr std::uint32_t kActive = 1U << static_cast<unsigned>(State::kPending) |
                                  1U << static_cast<unsigned>(State::kScheduled) |
                                  1U << static_cast<unsigned>(State::kAvailable) |
                                  1U << static_cast<unsigned>(State::kRunning) |
                                  1U << static_cast<unsigned>(State::kRetryable);
constexpr std::uint32_t kCompleted = 1U << static_cast<unsigned>(State::kCompleted);

// Two jobs of one key as they should be: the first is enqueued at 1 s, and done when the
// second is asked for, 10 s later. A third request met the second.
class CheckerUniqueTest : public testing::Test {
 protected:
  CheckerUniqueTest() {
    add(1, 1s);
    add(2, 11s);
    ask("met", 12s);
    ack("met", 2, 13s);
  }
  static std::int64_t at(Duration time) { return time.count(); }
  void ask(const std::string& name, Duration time) {
    RequestSeen& request = requests_[name];
    request.asks.emplace_back().time = at(time);
    request.unique.emplace();
    request.unique->hash = kKey;
    request.unique->attempt = kActive;
  }
  void ack(const std::string& name, std::uint64_t id, Duration time) {
    Event& ack = requests_[name].acks.emplace_back();
    ack.id = id;
    ack.time = at(time);
  }
  void add(std::uint64_t id, Duration enqueued) {
    const std::string name = "r" + std::to_string(id);
    JobRecord& row = rows_.emplace_back();
    row.id = JobId{id};
    row.request_id = name;
    row.state = State::kCompleted;
    row.enqueued = Time(enqueued);
    row.fence = Fence{1};
    ask(name, enqueued);
    ack(name, id, enqueued + 1s);
    Event end;
    end.time = at(enqueued + 5s);
    jobs_[id].runs[1].end = end;
    end.time = at(enqueued + 6s);
    jobs_[id].completions.push_back(end);
  }
  void name_for_all(std::uint32_t states, Duration period) {
    for (auto& [name, request] : requests_) {
      request.unique->attempt = states;
      request.unique->until = period.count();
    }
  }
  // Of which jobs.
  std::vector<std::uint64_t> broken(int of = 12) {
    std::vector<std::uint64_t> ids;
    met_ = check_uniques(rows_, jobs_, requests_, after_,
                         [&](int rule, std::uint64_t id, const std::string& text) {
                           EXPECT_EQ(rule, of) << text;
                           ids.push_back(id);
                         });
    return ids;
  }

  using Ids = std::vector<std::uint64_t>;
  std::vector<JobRecord> rows_;
  JobsSeen jobs_;
  RequestsSeen requests_;
  JobId after_{};
  std::size_t met_ = 0;
};

TEST_F(CheckerUniqueTest, SeesNothingWhereAllIsWell) {
  EXPECT_EQ(broken(), Ids{});
  EXPECT_EQ(met_, 1U);
}

TEST_F(CheckerUniqueTest, SeesTwoThatWereNotFinalAtOnce) {
  jobs_[1].runs[1].end->time = at(12s) + 1;  // the second was acknowledged before
  EXPECT_EQ(broken(), Ids{2});
  jobs_[1].runs[1].end->time = at(12s);
  EXPECT_EQ(broken(), Ids{});
  jobs_[1].runs[1].end->time = at(30s);
  requests_["r2"].acks[0].time = at(20s);  // it had ended when its answer was heard
  EXPECT_EQ(broken(), Ids{});
}

TEST_F(CheckerUniqueTest, SeesASecondWithinThePeriod) {
  name_for_all(kActive | kCompleted, 10s);
  EXPECT_EQ(broken(), Ids{}) << "a job that is a period old is met no more";
  name_for_all(kActive | kCompleted, 10s + 1us);
  EXPECT_EQ(broken(), Ids{2});
  name_for_all(kActive | kCompleted, 0s);  // as long as it is kept
  EXPECT_EQ(broken(), Ids{2});
  name_for_all(kActive, 10s);
  jobs_[1].runs[1].end->time = at(20s);
  EXPECT_EQ(broken(), Ids{}) << "the period was over";
  name_for_all(kActive, 11s);
  EXPECT_EQ(broken(), Ids{2});
}

TEST_F(CheckerUniqueTest, LeavesOutWhatTheLogsCannotTell) {
  name_for_all(1U << static_cast<unsigned>(State::kAvailable), 0s);
  jobs_[1].runs[1].end->time = at(20s);  // it may have been running
  EXPECT_EQ(broken(), Ids{});
}

TEST_F(CheckerUniqueTest, SeesAnEnqueueThatMetWhatItMustNot) {
  requests_["met"].asks[0].time = at(17s) + 1;
  requests_["met"].acks[0].time = at(18s);
  EXPECT_EQ(broken(), Ids{2}) << "it was completed before";
  requests_["met"].asks[0].time = at(17s);
  EXPECT_EQ(broken(), Ids{});
  name_for_all(kActive | kCompleted, 5s);
  EXPECT_EQ(broken(), Ids{2}) << "its period was over";
  requests_["met"].asks[0].time = at(17s) - 1;
  EXPECT_EQ(broken(), Ids{});
  requests_["met"].unique->hash = kKey + 1;
  EXPECT_EQ(broken(), Ids{2}) << "it has another key";
}

TEST_F(CheckerUniqueTest, SeesAnEnqueueThatMetWhatIsNotThere) {
  requests_["met"].acks[0].id = 9;
  EXPECT_EQ(broken(1), Ids{9});
  after_ = JobId{9};  // of a round before, and purged since
  EXPECT_EQ(broken(1), Ids{});
}

TEST_F(CheckerUniqueTest, SeesTwoAnswersToOneRequest) {
  ack("r2", 1, 9s);  // it met the first, the answer was lost, and it was asked again
  requests_["r2"].asks[0].time = at(7s);
  EXPECT_EQ(broken(4), Ids{});
  requests_["r2"].acks.back().time = at(14s);
  EXPECT_EQ(broken(4), Ids{1});
}

}  // namespace
}  // namespace carrel::conformance
