// carrel sandbox
#include <gmock/gmock.h>

#include "../machine.h"
#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::HasSubstr;

class Sandbox : public Command {
 protected:
  // Of a run in the tier that needs least.
  Said in_sandbox(std::vector<std::string> command,
                  std::vector<std::string> options = {}) {
    std::vector<std::string> all{"sandbox", "--profile", "students"};
    all.insert(all.end(), options.begin(), options.end());
    all.emplace_back("--");
    all.insert(all.end(), command.begin(), command.end());
    return carrel(all);
  }
};

// Either tells the truth of this machine: a run, or what it lacks.
TEST_F(Sandbox, PrintsAsJsonHowARunWent) {
  configure("[sandbox.students]\nnproc = 9\n");
  const Said said =
      in_sandbox({"sh", "-c", "cat; echo -n err >&2"}, {"--args", "[1, 2]"});
  if (said.code == 2) {
    EXPECT_THAT(said.err, HasSubstr("sandbox_unavailable"));
    ASSERT_FALSE(test::has_landlock() && test::has_namespaces()) << said.err;
    GTEST_SKIP() << said.err;
  }
  ASSERT_EQ(said.code, 0) << said.err;
  const Json run = said.json().at(0);
  EXPECT_EQ(run["class"], "ok");
  EXPECT_EQ(run["result"], Json({1, 2}));
  EXPECT_EQ(run["stderr"], "err");
  EXPECT_THAT(run["enforced"].get<std::vector<std::string>>(),
              testing::Contains("seccomp"));
  EXPECT_GT(run["wall_us"], 0);

  const Said failed = in_sandbox({"sh", "-c", "exit 3"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_EQ(failed.json().at(0)["class"], "exit_nonzero");
  EXPECT_EQ(failed.json().at(0)["exit_code"], 3);
  const Said late = in_sandbox({"sleep", "1000"}, {"--timeout", "100ms"});
  EXPECT_EQ(late.json().at(0)["class"], "wall_timeout");
}

TEST_F(Sandbox, RefusesAProfileThatIsNone) {
  const Said said = in_sandbox({"true"});
  EXPECT_EQ(said.code, 2);
  EXPECT_THAT(said.err, HasSubstr("there is no sandbox \"students\""));
  EXPECT_EQ(carrel({"sandbox"}).code, 2) << "and without a program";
}

}  // namespace
}  // namespace carrel::cli_test
