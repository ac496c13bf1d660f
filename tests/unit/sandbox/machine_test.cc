// Machines that lack something: refused when an engine starts, by name and with a hint.
#include "../machine.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "other_host.h"
#include "sandbox_test.h"

namespace carrel::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using SandboxMachine = SandboxTest;

// Which an ordinary user of this machine may make for itself: the other host is one.
bool ordinary_has_namespaces() {
  const pid_t child = fork();
  if (child == 0) {
    _exit(become_ordinary(kOrdinaryOfSandbox) && has_namespaces() ? 0 : 1);
  }
  int status = 1;
  return waitpid(child, &status, 0) == child && status == 0;
}

#define SKIP_IF_IT_CANNOT(said)                                   \
  if (said == "cannot") {                                         \
    ASSERT_FALSE(ordinary_has_namespaces());                      \
    GTEST_SKIP() << "user_namespaces: they are off here already"; \
  }                                                               \
  static_cast<void>(0)

TEST_F(SandboxMachine, Case67_UserNamespacesOff_SandboxUnavailable) {
  OtherHost host("no-namespaces");
  const std::string said = host.read_line();
  SKIP_IF_IT_CANNOT(said);
  EXPECT_THAT(said, AllOf(HasSubstr("sandbox_unavailable: namespaces"),
                          HasSubstr("errno 28"), HasSubstr("max_user_namespaces")));
}

TEST_F(SandboxMachine, Case67_ProcMasked_SandboxUnavailable) {
  OtherHost host("masked-proc");
  const std::string said = host.read_line();
  SKIP_IF_IT_CANNOT(said);
  EXPECT_THAT(said, AllOf(HasSubstr("sandbox_unavailable: proc"), HasSubstr("errno 1"),
                          HasSubstr("allow_missing")));
}

// Not the host's: that would be seen, and written to.
TEST_F(SandboxMachine, Case67_ProcMaskedAndMayBeMissing_AnEmptyFolder) {
  OtherHost host("without-proc");
  const std::string said = host.read_line();
  SKIP_IF_IT_CANNOT(said);
  EXPECT_EQ(said, R"("0\n1")");
}

TEST_F(SandboxMachine, NoMoreSandboxesWhenTheRoomIsMadeAnew_SandboxUnavailable) {
  OtherHost host("spoilt");
  const std::string said = host.read_line();
  SKIP_IF_IT_CANNOT(said);
  EXPECT_THAT(said, AllOf(testing::StartsWith("ok sandbox_unavailable "),
                          HasSubstr("namespaces")));
}

TEST_F(SandboxMachine, AMountThatIsNotThereIsNamed) {
  REQUIRE_SANDBOX(profile);
  profile.mounts.push_back({"/no/such/folder", "/data", true});
  const auto lack = lacking(profile);
  ASSERT_TRUE(lack);
  EXPECT_THAT(*lack, AllOf(HasSubstr("/no/such/folder"), HasSubstr("errno 2")));
}

TEST_F(SandboxMachine, MoreMountsThanAMessageHoldsAreRefusedAndTheBoundIsNamed) {
  REQUIRE_SANDBOX(profile);
  for (int i = 1000; i < 2000; ++i) {
    profile.mounts.push_back(
        {"/usr", "/opt/" + std::to_string(i) + std::string(80, 'm'), true});
  }
  const auto lack = lacking(profile);
  ASSERT_TRUE(lack);
  EXPECT_THAT(*lack, AllOf(HasSubstr("too many mounts"), HasSubstr("told 49152")));
}

TEST_F(SandboxMachine, EveryResultSaysWhatWasEnforced) {
  REQUIRE_SANDBOX(profile);
  const Outcome out = run({"/bin/true"});
  ASSERT_TRUE(out.enforced);
  EXPECT_THAT(*out.enforced,
              testing::IsSupersetOf({"namespaces", "root", "no_network", "seccomp",
                                     "no_new_privs", "limits"}));
}

}  // namespace
}  // namespace carrel::test
