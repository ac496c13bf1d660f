// What holds in every tier: with a root of its own, and among the host's files.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "sandbox_test.h"

namespace carrel::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Each, SandboxTiers,
                         testing::Values(SandboxTier::kStandard,
                                         SandboxTier::kRestricted),
                         tier_name);

TEST_P(SandboxTiers, FilesGoInAndComeOut) {
  REQUIRE_SANDBOX(profile);
  profile.files_in = "files";
  profile.files_out = {"out/sum.txt", "missing", "raw"};
  const Outcome out = run(
      {"sh", "-c",
       "pwd >&2; mkdir out; cat a.txt sub/b.txt > out/sum.txt; cp raw.in raw; echo 7"},
      R"({"files": {"a.txt": "one ", "sub/b.txt": "two", "raw.in": {"base64": "//4A"}}})");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message << out.stderr_tail;
  EXPECT_EQ(Json::parse(out.result),
            Json::parse(R"({"output": 7, "files": {"out/sum.txt": "one two",
                            "raw": {"base64": "//4A"}}})"));
  const std::string folder = out.stderr_tail.substr(0, out.stderr_tail.find('\n'));
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(folder); })) << folder;
}

TEST_P(SandboxTiers, Case66_FolderWithSymlinkOrFifo_Refused) {
  REQUIRE_SANDBOX(profile);
  profile.files_out = {"out.txt"};
  for (const char* what : {"link", "pipe"}) {
    const Outcome out = hostile_run("mess", {what});
    EXPECT_EQ(out.klass, OutcomeClass::kFailed) << what << out.result;
    EXPECT_EQ(out.result, "");
  }
  EXPECT_EQ(Json::parse(hostile_run("mess", {"file"}).result)["files"]["out.txt"],
            "made\n");
  EXPECT_EQ(Json::parse(hostile_run("mess", {"binary"}).result)["files"]["out.txt"],
            (Json{{"base64", "//4A"}}));
  profile.files_out = {"out/passwd"};
  EXPECT_EQ(hostile_run("mess", {"folder_link"}).klass, OutcomeClass::kFailed);
}

TEST_P(SandboxTiers, FilesPastTheResultLimit_OutputLimit) {
  REQUIRE_SANDBOX(profile);
  profile.files_out = {"large"};
  limits.result_bytes = 100'000;
  const Outcome out = run({"sh", "-c", "head -c 200000 /dev/zero > large"});
  EXPECT_EQ(out.klass, OutcomeClass::kOutputLimit) << out.error.message;
  EXPECT_EQ(out.error.code, Code::kTooLarge);
}

// What it may not read itself, its host does not read for it.
TEST_P(SandboxTiers, Case66_FolderWithHardLink_RefusedOrNotMade) {
  REQUIRE_SANDBOX(profile);
  profile.files_out = {"out.txt"};
  const auto secret = shared_folder() / "secret";
  std::ofstream(secret) << "s3cret";
  for (const std::string& path : {secret.string(), std::string("/etc/shadow")}) {
    const Outcome out = hostile_run("mess", {"hard_link", path});
    EXPECT_EQ(out.klass, OutcomeClass::kExitNonzero) << path << out.error.message;
    EXPECT_EQ(out.result, "");
  }
}

// Of another job of the same room too, nothing is found.
TEST_P(SandboxTiers, Case66_DeepWideOrMode000_Cleaned) {
  profile.tmpfs_files = 0;
  REQUIRE_SANDBOX(profile);
  for (const char* how : {"deep", "wide"}) {
    const std::string script =
        "pwd >&2; ls -A >&2; exec " + program_path("mess") + " " + how;
    for (const Outcome& out : run_twice({"sh", "-c", script})) {
      ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message << out.exit_code;
      const std::string folder = out.stderr_tail.substr(0, out.stderr_tail.find('\n'));
      EXPECT_EQ(out.stderr_tail, folder + "\n") << "it was not empty";
      EXPECT_FALSE(std::filesystem::exists(folder)) << folder;
    }
  }
}

TEST_P(SandboxTiers, Case43_SpinAlsoIgnoringSIGXCPU_CpuTimeout) {
  REQUIRE_SANDBOX(profile);
  profile.cpu_time = std::chrono::seconds(1);
  const Outcome out = hostile_run("spin");
  EXPECT_EQ(out.klass, OutcomeClass::kCpuTimeout) << out.error.message;
  EXPECT_EQ(out.signal, SIGXCPU);
  EXPECT_GE(out.usage.cpu, std::chrono::milliseconds(500));
  const Outcome deaf = hostile_run("spin", {"ignore"});
  EXPECT_EQ(deaf.klass, OutcomeClass::kCpuTimeout) << deaf.error.message;
  EXPECT_EQ(deaf.signal, SIGKILL);
  EXPECT_LT(deaf.usage.cpu, std::chrono::seconds(4));
  expect_control_job();
}

TEST_P(SandboxTiers, Case44_ForkRelayBurner_CpuTimeout) {
  REQUIRE_SANDBOX(profile);
  profile.cpu_time = std::chrono::seconds(1);
  // In "waited", who started them knows what they used.
  for (const char* how : {"orphaned", "waited"}) {
    const Outcome out = hostile_run("relay", {how});
    EXPECT_EQ(out.klass, OutcomeClass::kCpuTimeout) << how << out.error.message;
    EXPECT_GE(out.usage.cpu, std::chrono::milliseconds(500));
    EXPECT_LT(out.usage.cpu, std::chrono::seconds(5));
  }
  expect_control_job();
}

// Each of them within its own limit, side by side.
TEST_P(SandboxTiers, ManyBurnersAtOnce_CpuTimeoutOfAllTogether) {
  REQUIRE_SANDBOX(profile);
  profile.cpu_time = std::chrono::seconds(1);
  const Outcome out =
      run({"sh", "-c",
           "for i in 1 2 3 4 5 6 7 8; do " + program_path("spin") + " & done; wait"});
  EXPECT_EQ(out.klass, OutcomeClass::kCpuTimeout) << out.error.message;
  EXPECT_LT(out.usage.cpu, std::chrono::seconds(4));
}

TEST_P(SandboxTiers, Case46_ClosesItsDescriptorsAndRunsOn_WallTimeout) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  const auto job = start({program_path("close_stdio")});
  ASSERT_TRUE(eventually([server] {
    const auto programs = programs_below(server);
    const auto all_closed = [](pid_t pid) {
      const auto files = "/proc/" + std::to_string(pid) + "/fd";
      return access(files.c_str(), R_OK) == 0 && open_descriptors(pid) == 0;
    };
    return programs.size() == 1 && all_closed(programs[0]);
  }));
  settle();
  EXPECT_FALSE(job.sink->ended()) << "the end of its pipes is not its end";
  job.run->request_stop(StopReason::kTimeout);
  job.run->kill();
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWallTimeout);
  expect_control_job();
}

TEST_P(SandboxTiers, Case47_IgnoresEverything_KilledAfterTheGrace) {
  REQUIRE_SANDBOX(profile);
  const auto job = start({program_path("ignore_all")});
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->request_stop(StopReason::kTimeout);
  job.run->terminate();
  EXPECT_FALSE(job.sink->ended());
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.signal, SIGKILL);
  expect_control_job();
}

// While its room lives, whose end would take them along.
TEST_P(SandboxTiers, Case48_GrandchildOrDaemon_DeadAtOnce) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  for (const char* how : {"group", "session", "zombie"}) {
    const Outcome out = hostile_run("grandchild", {how});
    EXPECT_TRUE(programs_below(server).empty()) << how;
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(out.result, "\"left\"");
    EXPECT_TRUE(out.leftover_killed) << how;
  }
  EXPECT_FALSE(hostile_run("count_input").leftover_killed);
}

// As where a shim in the user's home goes before /usr/bin.
TEST_P(SandboxTiers, AProgramIsLookedForInWhatItsSandboxSees) {
  REQUIRE_SANDBOX(profile);
  const auto unseen = std::filesystem::temp_directory_path() /
                      ("carrel-unseen-" + std::to_string(getpid()));
  std::filesystem::create_directory(unseen);
  std::filesystem::copy_file("/usr/bin/true", unseen / "sh");
  chmod(unseen.c_str(), 0755);
  spec.env["PATH"] = unseen.string() + ":/usr/bin";
  EXPECT_EQ(text_of(run({"sh", "-c", "echo from /usr"})), "from /usr");
  std::filesystem::remove_all(unseen);
}

// It has a child at any time, and it depends on the moment whether that has ended by
// then.
TEST_P(SandboxTiers, WhatIsKilledTogetherWithItsProgramWasNotLeftByIt) {
  REQUIRE_SANDBOX(profile);
  for (int n = 0; n < 10; ++n) {
    const auto job =
        start({"sh", "-c", "echo log ready >&3; while :; do sleep 0.02; done"});
    job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
    job.run->kill();
    const Outcome out = job.sink->wait();
    EXPECT_EQ(out.signal, SIGKILL);
    EXPECT_FALSE(out.leftover_killed);
  }
}

TEST_P(SandboxTiers, Case50_VsockNetlinkIoUring_Refused) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(text_of(hostile_run("families")),
            "EAFNOSUPPORT EAFNOSUPPORT EAFNOSUPPORT EAFNOSUPPORT ENOSYS");
}

TEST_P(SandboxTiers, Case59_TtyRealTimePriority_Refused) {
  REQUIRE_SANDBOX(profile);
  // As far as this machine gives it: a server that may have what its programs may not.
  const ProcessLimit real_time(server_pid(), RLIMIT_RTPRIO, "RLIMIT_RTPRIO", 50);
  const ProcessLimit nice(server_pid(), RLIMIT_NICE, "RLIMIT_NICE", 40);
  const auto all = answers(text_of(hostile_run("privileges")));
  EXPECT_EQ(all.at("tty"), restricted() ? "EACCES" : "ENOENT");
  EXPECT_EQ(all.at("fifo"), "EPERM");
  EXPECT_EQ(all.at("nice"), "EACCES");
  EXPECT_EQ(all.at("limit"), "EPERM");
}

// Where a host of a program that is not in a sandbox would have one.
TEST_P(SandboxTiers, Case65_StackOverflowAbort_SignaledNoCore) {
  REQUIRE_SANDBOX(profile);
  const Outcome overflow = hostile_run("overflow");
  EXPECT_EQ(overflow.klass, OutcomeClass::kSignaled);
  EXPECT_EQ(overflow.signal, SIGSEGV);
  const Outcome aborted = hostile_run("abort");
  EXPECT_EQ(aborted.klass, OutcomeClass::kSignaled);
  EXPECT_EQ(aborted.signal, SIGABRT);
  const ProcessLimit cores(server_pid(), RLIMIT_CORE, "RLIMIT_CORE", 64U << 20);
  if (!cores.missing().empty()) GTEST_SKIP() << cores.missing();
  const std::string pattern = text_of_file("/proc/sys/kernel/core_pattern");
  if (pattern.find_first_of("|/") != std::string::npos) {
    GTEST_SKIP() << "core_pattern: a core would not be in the program's folder here";
  }
  for (const char* name : {"abort", "overflow"}) {
    const Outcome here = run({"sh", "-c", program_path(name) + "; ls -A"});
    EXPECT_EQ(here.klass, OutcomeClass::kOk) << here.error.message;
    EXPECT_EQ(here.result, "") << name;
  }
}

// Its supervisor is of the same user, and counts what it reads in /proc.
TEST_P(SandboxTiers, WhoTakesItsSupervisorsFilesAway_IsCountedAllTheSame) {
  REQUIRE_SANDBOX(profile);
  profile.cpu_time = std::chrono::seconds(1);
  const Outcome out = hostile_run("blind_box");
  EXPECT_EQ(out.klass, OutcomeClass::kCpuTimeout) << out.error.message;
}

}  // namespace
}  // namespace carrel::test
