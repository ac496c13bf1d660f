// Every case runs hostile programs in a sandbox, as root and as an ordinary user, and
// asserts as ProcessTest does that nothing is left.
#pragma once

#include <carrel/sandbox.h>

#include <optional>
#include <string>
#include <vector>

#include "../process/process_test.h"

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
  // A hostile program, with arguments; what it printed, as text.
  Outcome hostile_run(std::string_view name, std::vector<std::string> arguments = {});
  // A control job: another program in the same profile still runs.
  void expect_control_job();

 private:
  std::vector<std::unique_ptr<Host>> hosts_;
};

std::string text_of(const Outcome& outcome);  // of a result that is text or a number
// Why this machine has no such profile; nothing: it has.
std::optional<std::string> lacking(const SandboxProfile& profile);

}  // namespace carrel::test

// Skips the case where the machine lacks what `profile` needs, and names it.
#define REQUIRE_SANDBOX(profile) \
  if (const auto lack = ::carrel::test::lacking(profile)) GTEST_SKIP() << *lack
