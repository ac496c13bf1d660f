// What a program finds in a sandbox, and what it is told of.
#include <unistd.h>

#include "sandbox_test.h"

namespace carrel::test {
namespace {

using SandboxBasics = SandboxTest;

TEST_F(SandboxBasics, AProgramRunsWithInputOutputAndAFolder) {
  REQUIRE_SANDBOX(profile);
  const Outcome out =
      run({"sh", "-c", "cat; pwd >&2; id -u >&2; echo $HOME $TMPDIR >&2"}, R"({"a":1})");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message << out.stderr_tail;
  EXPECT_EQ(out.result, R"({"a":1})");
  EXPECT_EQ(out.stderr_tail, "/tmp/work\n1000\n/tmp/work /tmp\n");
  ASSERT_TRUE(out.enforced);
  expect_control_job();
}

}  // namespace
}  // namespace carrel::test
