// Programs that an engine ends, by the times of its configuration.
#include <carrel/engine.h>

#include <csignal>
#include <optional>
#include <string>

#include "sandbox_test.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

class SandboxEngine : public SandboxTiers {
 protected:
  // One job of that hostile program, whose configuration has these lines too: its only
  // attempt.
  Attempt attempt_of(const std::string& name, const std::string& times,
                     const std::string& argument = {}) {
    std::string text = "store = \"memory:\"\n[log]\nlevel = \"off\"\n[sandbox.hostile]\n";
    text +=
        std::string("tier = \"") + (restricted() ? "restricted" : "standard") + "\"\n";
    text += "nproc = 200\ncpu_time = \"1s\"\nuser = " + std::to_string(kSandboxed) + "\n";
    const auto& programs = profile.mounts.at(0);
    text += "mounts = [{ src = \"" + programs.src + "\"" +
            (restricted() ? "" : ", dst = \"" + programs.dst + "\"") + " }]\n";
    text += "[jobs.program]\nisolation = \"exec\"\nsandbox = \"hostile\"\n";
    text += "max_attempts = 1\ncommand = [\"" + program_path(name) + "\", \"" + argument +
            "\"]\n" + times;
    auto config = Config::parse(text, "test.toml");
    EXPECT_TRUE(config) << config.error().message << text;
    engine_.emplace(Engine::open(*config).value());
    const JobId id = engine_->enqueue("program").value();
    EXPECT_TRUE(engine_->start());
    EXPECT_FALSE(engine_->wait(id, kPatience));
    return engine_->job(id).value().attempts.at(0);
  }
  void TearDown() override {
    engine_.reset();
    SandboxTiers::TearDown();
  }

 private:
  std::optional<Engine> engine_;  // and with it the room, until the end of the case
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
  EXPECT_TRUE(programs_below(server).empty()) << "at its end, not at its room's";
  expect_control_job();
}

TEST_P(SandboxEngine, Case47_IgnoresEverything_KilledAfterItsGraces) {
  REQUIRE_SANDBOX(profile);
  const Attempt attempt = attempt_of(
      "ignore_all", "timeout = \"2s\"\nstop_grace = \"200ms\"\nterm_grace = \"250ms\"\n");
  EXPECT_EQ(attempt.klass, OutcomeClass::kWallTimeout) << attempt.message;
  EXPECT_EQ(attempt.rung, Rung::kKill);
  EXPECT_EQ(attempt.signal, SIGKILL);
  EXPECT_GE(attempt.usage.wall, 2450ms);
  expect_control_job();
}

// What nobody waits for is in no account but a control group's: it has until its time.
TEST_P(SandboxEngine, Case44_ForkRelayBurnerWhoseEndsAreIgnored_WallTimeout) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  const Attempt attempt = attempt_of("relay", "timeout = \"3s\"\n", "ignored");
  EXPECT_EQ(attempt.klass, OutcomeClass::kWallTimeout) << attempt.message;
  EXPECT_TRUE(programs_below(server).empty());
  expect_control_job();
}

}  // namespace
}  // namespace carrel::test
