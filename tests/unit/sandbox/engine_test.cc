// Programs that an engine ends, by the times of its configuration.
#include <carrel/engine.h>

#include <csignal>

#include "sandbox_test.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

class SandboxEngine : public SandboxTiers {
 protected:
  // One job of that hostile program, whose configuration has these lines too: its only
  // attempt.
  Attempt attempt_of(const std::string& name, const std::string& times) {
    std::string text = "store = \"memory:\"\n[log]\nlevel = \"off\"\n[sandbox.hostile]\n";
    text +=
        std::string("tier = \"") + (restricted() ? "restricted" : "standard") + "\"\n";
    text += "nproc = 200\nuser = " + std::to_string(kSandboxed) + "\n";
    const auto& programs = profile.mounts.at(0);
    text += "mounts = [{ src = \"" + programs.src + "\"" +
            (restricted() ? "" : ", dst = \"" + programs.dst + "\"") + " }]\n";
    text += "[jobs.program]\nisolation = \"exec\"\nsandbox = \"hostile\"\n";
    text += "max_attempts = 1\ncommand = [\"" + program_path(name) + "\"]\n" + times;
    auto config = Config::parse(text, "test.toml");
    EXPECT_TRUE(config) << config.error().message << text;
    auto engine = Engine::open(*config).value();
    const JobId id = engine.enqueue("program").value();
    EXPECT_TRUE(engine.start());
    EXPECT_FALSE(engine.wait(id, kPatience));
    return engine.job(id).value().attempts.at(0);
  }
};

INSTANTIATE_TEST_SUITE_P(Each, SandboxEngine,
                         testing::Values(SandboxTier::kStandard,
                                         SandboxTier::kRestricted),
                         tier_name);

TEST_P(SandboxEngine, Case34_ExponentialBomb_WallTimeoutNoneLeft) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  const Attempt attempt = attempt_of(
      "bomb", "timeout = \"300ms\"\nstop_grace = \"50ms\"\nterm_grace = \"50ms\"\n");
  EXPECT_EQ(attempt.klass, OutcomeClass::kWallTimeout) << attempt.message;
  EXPECT_GE(attempt.usage.wall, 300ms);
  EXPECT_TRUE(eventually([server] { return programs_below(server).empty(); }));
  expect_control_job();
}

TEST_P(SandboxEngine, Case47_IgnoresEverything_KilledAfterItsGraces) {
  REQUIRE_SANDBOX(profile);
  const Attempt attempt =
      attempt_of("ignore_all",
                 "timeout = \"300ms\"\nstop_grace = \"200ms\"\nterm_grace = \"250ms\"\n");
  EXPECT_EQ(attempt.klass, OutcomeClass::kWallTimeout) << attempt.message;
  EXPECT_EQ(attempt.rung, Rung::kKill);
  EXPECT_EQ(attempt.signal, SIGKILL);
  EXPECT_GE(attempt.usage.wall, 750ms);
  expect_control_job();
}

}  // namespace
}  // namespace carrel::test
