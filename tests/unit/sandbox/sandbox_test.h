// Every case runs hostile programs in a sandbox, as root and as an ordinary user, and
// asserts as ProcessTest does that nothing is left.
#pragma once

#include <carrel/sandbox.h>
#include <sys/socket.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../process/process_test.h"
#include "os.h"

namespace carrel::test {

class SandboxTest : public ProcessTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  SandboxProfile profile;  // changed by a case before its first run
  KindSpec spec;           // likewise; its kind is "program"
  Limits limits;
  // Each makes a host of its own for that command in `profile`.
  Outcome run(std::vector<std::string> command, std::string payload = {});
  Started start(std::vector<std::string> command, std::string payload = {});
  // Until what was told to the host of the last job so far is heard of.
  void settle();
  // One after the other, in the same room.
  std::vector<Outcome> run_twice(std::vector<std::string> command);
  // From now on in the tier `restricted`, with the hostile programs among the host's
  // files, where an ordinary user can see them.
  void restrict_profile();
  // Where the programs find the hostile ones.
  std::string program_path(std::string_view name) const;
  // A hostile program, with arguments.
  Outcome hostile_run(std::string_view name, std::vector<std::string> arguments = {});
  // A control job: another program in the same profile still runs.
  void expect_control_job();
  // Of this test, among the host's folders, for everybody; gone at its end.
  const std::filesystem::path& shared_folder();

 private:
  std::string programs_ = "/hostile";
  std::filesystem::path shared_folder_;
  std::vector<std::unique_ptr<Host>> hosts_;
};

// What holds with a root of its own, and among the host's files. The tiers are in
// tiers_test.cc.
class SandboxTiers : public SandboxTest, public testing::WithParamInterface<SandboxTier> {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    if (restricted()) restrict_profile();
  }
  static bool restricted() { return GetParam() == SandboxTier::kRestricted; }
};

inline std::string tier_name(const testing::TestParamInfo<SandboxTier>& tier) {
  return tier.param == SandboxTier::kRestricted ? "restricted" : "standard";
}

std::string text_of(const Outcome& outcome);  // of a result that is text or a number
// "what answer" a line.
std::map<std::string, std::string> answers(const std::string& text);
// What runs below the process server and is none of its own: programs in sandboxes, and
// all that they started.
std::vector<pid_t> programs_below(pid_t server);
// A socket of the host's; "@name": an abstract one.
process::UniqueFd bind_unix(const std::string& name, int type = SOCK_STREAM);
// Why this machine has no such profile; nothing: it has.
std::optional<std::string> lacking(const SandboxProfile& profile);
// The kernel gives what its tier needs, but for control groups.
bool machine_has(const SandboxProfile& profile);

}  // namespace carrel::test

// Skips the case where the machine lacks what `profile` needs, and names it.
#define REQUIRE_SANDBOX(profile)                               \
  if (const auto lack = ::carrel::test::lacking(profile)) {    \
    if (::carrel::test::machine_has(profile)) FAIL() << *lack; \
    GTEST_SKIP() << *lack;                                     \
  }                                                            \
  static_cast<void>(0)
