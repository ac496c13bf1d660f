#include <gmock/gmock.h>

#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Retry : public Command {
 protected:
  // Jobs 1 and 2 of kind a and 3 of kind b are discarded, 4 is cancelled, 5 waits.
  Retry() {
    configure(R"(
[defaults]
isolation = "exec"
command = ["/bin/false"]
max_attempts = 1
[jobs.a]
[jobs.b]
)");
    carrel({"enqueue", "a", "--lines"}, "1\n2\n");
    carrel({"enqueue", "b"});
    carrel({"run", "--drain"});
    carrel({"enqueue", "a"});
    carrel({"cancel", "4"});
    carrel({"enqueue", "other"});
  }
  std::vector<std::string> states() {
    std::vector<std::string> all;
    for (const char* id : {"1", "2", "3", "4", "5"}) all.push_back(show(id)["state"]);
    return all;
  }
};

TEST_F(Retry, ByIdOfAnyEndedJob) {
  EXPECT_THAT(states(), ElementsAre("discarded", "discarded", "discarded", "cancelled",
                                    "available"));
  EXPECT_EQ(carrel({"retry", "2", "4"}).code, 0);
  EXPECT_THAT(states(), ElementsAre("discarded", "available", "discarded", "available",
                                    "available"));
}

TEST_F(Retry, OfAJobThatWaitsAnywayIsRefused) {
  const Said said = carrel({"retry", "5"});
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("5"));
}

TEST_F(Retry, InBulkTakesDiscardedJobsAndSaysHowMany) {
  const Said said = carrel({"retry", "--kind", "a", "--yes"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.lines(), ElementsAre("2", "1"));
  EXPECT_THAT(said.err, HasSubstr("2 jobs retried"));
  EXPECT_THAT(states(), ElementsAre("available", "available", "discarded", "cancelled",
                                    "available"));
}

TEST_F(Retry, InBulkByStateQueueAndAge) {
  EXPECT_EQ(
      carrel({"retry", "--state", "cancelled,discarded", "--queue", "none", "--yes"}).out,
      "");
  EXPECT_EQ(carrel({"retry", "--older-than", "1h", "--yes"}).out, "");
  EXPECT_THAT(carrel({"retry", "--older-than", "1us", "--dry-run"}).lines(),
              ElementsAre("3", "2", "1"));
  EXPECT_THAT(carrel({"retry", "--older-than", "1us", "--kind", "b", "--yes"}).lines(),
              ElementsAre("3"));
  EXPECT_EQ(states()[2], "available");
  carrel({"run", "--drain"});
  const Said said = carrel({"retry", "--state", "cancelled", "--yes", "--json"});
  EXPECT_EQ(said.json()[0], (Json{{"id", 4}, {"retried", true}}));
  EXPECT_THAT(states(), ElementsAre("discarded", "discarded", "discarded", "available",
                                    "available"));
}

TEST_F(Retry, InBulkOfWhatWaitsAnywayIsRefused) {
  for (const char* state : {"pending", "available", "running"}) {
    const Said said = carrel({"retry", "--state", state, "--yes"});
    EXPECT_EQ(said.code, 2) << said.out << said.err;
    EXPECT_THAT(said.err, HasSubstr(std::string(state) + " jobs cannot be retried"));
  }
}

TEST_F(Retry, WithNobodyToAskNeedsYes) {
  const Said said = carrel({"retry", "--kind", "a"});
  EXPECT_EQ(said.code, 2);
  EXPECT_THAT(said.err, HasSubstr("2 jobs match: say --yes"));
  EXPECT_EQ(states()[0], "discarded");
}

TEST_F(Retry, OfSeveralCodesTheMostSevereCounts) {
  EXPECT_EQ(carrel({"retry", "5", "99"}).code, 2) << "5 waits anyway";
  EXPECT_EQ(carrel({"retry", "99", "5"}).code, 2);
  EXPECT_EQ(carrel({"retry", "99", "1"}).code, 3);
}

TEST_F(Retry, AsksAtATerminalAndSaysWhatItDid) {
  const auto answered = [&](const std::string& answer) {
    return shell("echo " + answer +
                 " | script -qec 'carrel retry --kind a' /dev/null; echo $?")
        .out;
  };
  EXPECT_THAT(answered("n"), HasSubstr("nothing retried"));
  EXPECT_EQ(states()[0], "discarded");
  EXPECT_THAT(answered("YES"), HasSubstr("2 jobs retried"));
  EXPECT_EQ(states()[0], "available");
}

TEST_F(Retry, DryRunChangesNothing) {
  const Said said = carrel({"retry", "--state", "discarded", "--dry-run"});
  EXPECT_EQ(said.code, 0);
  EXPECT_THAT(said.lines(), ElementsAre("3", "2", "1"));
  EXPECT_THAT(said.err, HasSubstr("3 jobs would be retried"));
  EXPECT_EQ(carrel({"retry", "1", "--dry-run"}).code, 0);
  EXPECT_EQ(states()[0], "discarded");
}

}  // namespace
}  // namespace carrel::cli_test
