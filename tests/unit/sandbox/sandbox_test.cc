#include "sandbox_test.h"

#include <unistd.h>

namespace carrel::test {

void SandboxTest::SetUp() {
  ProcessTest::SetUp();
  profile.mounts = {{HOSTILE_DIR, "/hostile", true}};
  profile.warm = 1;
  profile.user = kSandboxed;
  spec = program("program", {});
  spec.pass_env = {"PATH", "HOME", "LANG", "TMPDIR"};
}

void SandboxTest::TearDown() {
  hosts_.clear();
  ProcessTest::TearDown();
}

Started SandboxTest::start(std::vector<std::string> command, std::string payload) {
  KindSpec kind = spec;
  kind.command = std::move(command);
  kind.sandbox = profile;
  auto& host = hosts_.emplace_back(
      std::make_unique<Host>("exec", std::vector<KindSpec>{std::move(kind)}));
  host->limits = limits;
  return host->start("program", std::move(payload));
}

Outcome SandboxTest::run(std::vector<std::string> command, std::string payload) {
  return start(std::move(command), std::move(payload)).sink->wait();
}

Outcome SandboxTest::hostile_run(std::string_view name,
                                 std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/hostile/" + std::string(name));
  return run(std::move(arguments));
}

void SandboxTest::expect_control_job() {
  const Outcome out = run({"/bin/sh", "-c", "echo fine"});
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result, "\"fine\"");
}

std::string text_of(const Outcome& outcome) {
  const Json result = Json::parse(outcome.result, nullptr, false);
  return result.is_string() ? result.get<std::string>() : outcome.result;
}

std::optional<std::string> lacking(const SandboxProfile& profile) {
  KindSpec kind = program("probe", {"/bin/true"});
  kind.sandbox = profile;
  try {
    Host host("exec", {kind});
    return std::nullopt;
  } catch (const std::exception& e) {
    return e.what();
  }
}

}  // namespace carrel::test
