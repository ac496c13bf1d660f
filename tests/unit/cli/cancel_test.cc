// cancel, of many jobs by what they are
#include <gmock/gmock.h>

#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CancelChosen : public Command {
 protected:
  // Job 1 has ended, 2 and 3 of kind a and 4 of kind b wait, 5 is for later.
  CancelChosen() {
    configure(R"(
[defaults]
isolation = "exec"
command = ["/bin/false"]
max_attempts = 1
[jobs.a]
[jobs.b]
)");
    carrel({"enqueue", "a"});
    carrel({"run", "--drain"});
    carrel({"enqueue", "a", "--lines"}, "1\n2\n");
    carrel({"enqueue", "b"});
    carrel({"enqueue", "a", "--delay", "1h"});
  }
  std::vector<std::string> states() {
    std::vector<std::string> all;
    for (const char* id : {"1", "2", "3", "4", "5"}) all.push_back(show(id)["state"]);
    return all;
  }
};

TEST_F(CancelChosen, TakesAllThatHaveNotEnded) {
  const Said said = carrel({"cancel", "--kind", "a", "--yes"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.lines(),
              ElementsAre("job 5: cancelled", "job 3: cancelled", "job 2: cancelled"));
  EXPECT_THAT(said.err, HasSubstr("3 jobs cancelled"));
  EXPECT_THAT(states(), ElementsAre("discarded", "cancelled", "cancelled", "available",
                                    "cancelled"));
}

TEST_F(CancelChosen, ByStateQueueAndAge) {
  EXPECT_EQ(carrel({"cancel", "--queue", "none", "--yes"}).out, "");
  EXPECT_EQ(carrel({"cancel", "--older-than", "1h", "--yes"}).out, "");
  const Said said = carrel({"cancel", "--state", "scheduled", "--yes", "--json"});
  EXPECT_EQ(said.json(), (Json{{{"id", 5}, {"cancel", "cancelled"}}}));
  EXPECT_THAT(states(), ElementsAre("discarded", "available", "available", "available",
                                    "cancelled"));
}

TEST_F(CancelChosen, WhatHasEndedIsRefused) {
  for (const char* state : {"completed", "cancelled", "discarded"}) {
    const Said said = carrel({"cancel", "--state", state, "--yes"});
    EXPECT_EQ(said.code, 2) << said.out << said.err;
    EXPECT_THAT(said.err, HasSubstr(std::string(state) + " jobs cannot be cancelled"));
  }
}

TEST_F(CancelChosen, EitherIdsOrFilters) {
  for (const std::vector<std::string>& rest :
       {std::vector<std::string>{}, {"2", "--kind", "a"}}) {
    std::vector<std::string> words = {"cancel", "--yes"};
    words.insert(words.end(), rest.begin(), rest.end());
    const Said said = carrel(words);
    EXPECT_EQ(said.code, 2);
    EXPECT_THAT(said.err, HasSubstr("either ids, or one or more of --state"));
  }
  EXPECT_EQ(states()[1], "available");
}

TEST_F(CancelChosen, WithNobodyToAskNeedsYes) {
  const Said said = carrel({"cancel", "--kind", "b"});
  EXPECT_EQ(said.code, 2);
  EXPECT_THAT(said.err, HasSubstr("1 job matches: say --yes to cancel it"));
  EXPECT_EQ(states()[3], "available");
}

TEST_F(CancelChosen, DryRunChangesNothing) {
  const Said said = carrel({"cancel", "--kind", "a", "--dry-run"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.lines(), ElementsAre("5", "3", "2"));
  EXPECT_THAT(said.err, HasSubstr("3 jobs would be cancelled"));
  EXPECT_EQ(carrel({"cancel", "4", "--dry-run", "--json"}).json(),
            (Json{{{"id", 4}, {"cancel", nullptr}}}));
  const Said ended = carrel({"cancel", "1", "--dry-run"});
  EXPECT_THAT(ended.lines(), ElementsAre("job 1: had ended already"));
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(carrel({"cancel", "4", "99", "--dry-run"}).code, 3);
  EXPECT_THAT(states(), ElementsAre("discarded", "available", "available", "available",
                                    "scheduled"));
}

}  // namespace
}  // namespace carrel::cli_test
