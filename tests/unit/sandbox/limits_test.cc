// Programs that want more than their share.
#include <unistd.h>

#include <csignal>
#include <sstream>

#include "sandbox_test.h"

namespace carrel::test {
namespace {

using SandboxLimits = SandboxTest;

struct Counted {
  long count = -1;
  std::string error;
};
Counted counted(const Outcome& out) {
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message << out.stderr_tail;
  Counted result;
  std::istringstream(text_of(out)) >> result.count >> result.error;
  return result;
}

// Of twenty. With a root of its own its supervisor counts too. Among the host's processes
// a root's does not, and of an ordinary user's all that he has elsewhere do.
void expect_full(long count, bool restricted) {
  if (!restricted) {
    EXPECT_EQ(count, 19);
  } else if (geteuid() == 0) {
    EXPECT_EQ(count, 20);
  } else {
    EXPECT_GE(count, 1);
    EXPECT_LE(count, 20);
  }
}

TEST_P(SandboxTiers, Case33_ForkBombNprocTwenty_EAGAIN) {
  REQUIRE_SANDBOX(profile);
  profile.nproc = 20;
  const auto forked = counted(hostile_run("bomb_count"));
  expect_full(forked.count, restricted());
  EXPECT_EQ(forked.error, "EAGAIN");
  expect_control_job();
}

TEST_P(SandboxTiers, Case35_ThreadBomb_Capped) {
  REQUIRE_SANDBOX(profile);
  profile.nproc = 20;
  const auto made = counted(hostile_run("thread_bomb"));
  expect_full(made.count, restricted());
  EXPECT_EQ(made.error, "EAGAIN");
  expect_control_job();
}

TEST_P(SandboxTiers, Case37_MemoryBombPastAddressSpace_FailsInside) {
  REQUIRE_SANDBOX(profile);
  profile.address_space = 64U << 20;
  const auto took = counted(hostile_run("memory_bomb", {"200"}));
  EXPECT_GT(took.count, 20);
  EXPECT_LT(took.count, 64);
  expect_control_job();
}

// By a bound of each it is not: what a control group does of it is in group_test.cc.
TEST_F(SandboxLimits, Case38_TwentyTimesFortyMB_OnlyAMemoryCgroupContainsIt) {
  REQUIRE_SANDBOX(profile);
  profile.address_space = 64U << 20;
  const pid_t server = server_pid();
  const auto job = start({program_path("memory_crowd")});
  EXPECT_TRUE(eventually([server] {
    std::uint64_t resident = 0;
    for (const pid_t pid : programs_below(server)) resident += resident_bytes_of(pid);
    return resident > (700U << 20);
  }));
  EXPECT_FALSE(job.sink->ended());
  job.run->kill();
  job.sink->wait();
}

TEST_P(SandboxTiers, Case39_MemoryFile_BoundedByFsize) {
  REQUIRE_SANDBOX(profile);
  profile.fsize = 4U << 20;
  const Outcome out = hostile_run("memory_file");
  EXPECT_EQ(text_of(out), "4194304 EFBIG EFBIG") << out.error.message;
}

TEST_F(SandboxLimits, Case40_TmpfsOrInodeFill_ENOSPC) {
  REQUIRE_SANDBOX(profile);
  profile.tmpfs_size = 8U << 20;
  profile.tmpfs_files = 50;
  const auto bytes = counted(hostile_run("fill"));
  EXPECT_GE(bytes.count, 6);
  EXPECT_LE(bytes.count, 8);
  EXPECT_EQ(bytes.error, "ENOSPC");
  const auto inodes = counted(hostile_run("fill", {"inodes"}));
  EXPECT_GE(inodes.count, 45);
  EXPECT_LE(inodes.count, 50);
  EXPECT_EQ(inodes.error, "ENOSPC");
  expect_control_job();
}

TEST_P(SandboxTiers, Case41_Fsize_EFBIG) {
  REQUIRE_SANDBOX(profile);
  profile.fsize = 1U << 20;
  EXPECT_EQ(text_of(hostile_run("large_file", {"ignore"})), "1048576 EFBIG");
  const Outcome out = hostile_run("large_file");
  EXPECT_EQ(out.klass, OutcomeClass::kFsizeLimit) << out.error.message;
  EXPECT_EQ(out.signal, SIGXFSZ);
}

TEST_P(SandboxTiers, Case42_Files_EMFILE) {
  REQUIRE_SANDBOX(profile);
  profile.open_files = 50;
  const auto opened = counted(hostile_run("many_files"));
  EXPECT_EQ(opened.count, 50);
  EXPECT_EQ(opened.error, "EMFILE");
}

TEST_F(SandboxLimits, Case45_StdoutStderrOrDescriptor3Flood_OutputLimit) {
  REQUIRE_SANDBOX(profile);
  profile.stderr_limit = 1U << 20;
  for (const char* where : {"1", "2", "3"}) {
    const Outcome out = hostile_run("flood", {where});
    EXPECT_EQ(out.klass, OutcomeClass::kOutputLimit) << where << out.error.message;
    EXPECT_EQ(out.error.code, Code::kTooLarge);
  }
  expect_control_job();
}

}  // namespace
}  // namespace carrel::test
