// Programs that reach for what is not theirs.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "os.h"
#include "sandbox_test.h"

namespace carrel::test {
namespace {

using process::UniqueFd;
using SandboxReach = SandboxTest;

TEST_F(SandboxReach, Case49_TcpUdp_ENETUNREACH) {
  REQUIRE_SANDBOX(profile);
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 4), 0);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  const std::string port = std::to_string(ntohs(address.sin_port));
  const std::string none = "ENETUNREACH ENETUNREACH ENETUNREACH ENETUNREACH";
  EXPECT_EQ(text_of(hostile_run("network", {port})), none);
  // The namespace does it by itself too.
  profile.seccomp = SandboxSyscalls::kOff;
  profile.landlock = false;
  EXPECT_EQ(text_of(hostile_run("network", {port})), none);
  // And a profile that has the network reaches that listener.
  profile.network = SandboxNetwork::kHost;
  profile.seccomp = SandboxSyscalls::kDefault;
  EXPECT_TRUE(text_of(hostile_run("network", {port})).starts_with("EINPROGRESS "));
}

TEST_F(SandboxReach, Case51_TheHostsUnixSockets_Refused) {
  REQUIRE_SANDBOX(profile);
  const std::string tag = "carrel-" + std::to_string(getpid());
  const std::string path = std::filesystem::temp_directory_path() / (tag + ".socket");
  const auto abstract = bind_unix("@" + tag);
  const auto named = bind_unix(path);
  EXPECT_EQ(text_of(hostile_run("unix_connect", {"socket", "@" + tag, path})),
            "ECONNREFUSED ENOENT");
  // Also where they are of the same network: by Landlock, before Linux 6.12 by the
  // filter.
  profile.network = SandboxNetwork::kHost;
  const auto letters = bind_unix("@" + tag + "-letters", SOCK_DGRAM);
  for (const auto& [how, name] :
       {std::pair("socket", "@" + tag), std::pair("datagrams", "@" + tag + "-letters")}) {
    const std::string text = text_of(hostile_run("unix_connect", {how, name, path}));
    EXPECT_TRUE(text == "EPERM ENOENT" || text == "EACCES EACCES") << how << ": " << text;
  }
  profile.network = SandboxNetwork::kNone;
  profile.seccomp = SandboxSyscalls::kStrict;
  EXPECT_EQ(text_of(hostile_run("unix_connect", {"socket", "@" + tag})), "EACCES");
  // One end of a pair of datagrams could be connected anew.
  EXPECT_EQ(text_of(hostile_run("unix_connect", {"datagrams", "@" + tag})), "EACCES");
  unlink(path.c_str());
}

TEST_F(SandboxReach, Case54_TheLimitsOfItsSupervisor_OutOfReach) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(answers(text_of(hostile_run("reach_process", {"1"})))["prlimit"], "EPERM");
}

TEST_F(SandboxReach, Case39_MemoryAndTablesThatNoLimitCounts_Refused) {
  REQUIRE_SANDBOX(profile);
  const auto all = answers(text_of(hostile_run("uncounted")));
  EXPECT_EQ(all.size(), 5U);
  for (const auto& [what, answer] : all) EXPECT_EQ(answer, "EPERM") << what;
}

TEST_F(SandboxReach, Strict_CallsThatFewProgramsNeed_Refused) {
  REQUIRE_SANDBOX(profile);
  for (const auto& [what, answer] : answers(text_of(hostile_run("strict_calls")))) {
    EXPECT_EQ(answer, "done") << what;
  }
  profile.seccomp = SandboxSyscalls::kStrict;
  const auto all = answers(text_of(hostile_run("strict_calls")));
  EXPECT_EQ(all.size(), 4U);
  for (const auto& [what, answer] : all) EXPECT_EQ(answer, "EPERM") << what;
}

// Where the filter is off, a program can have namespaces of its own; whom Landlock bounds
// can mount nothing in them.
TEST_F(SandboxReach, WithoutTheFilter_LandlockIsThereByItself) {
  REQUIRE_SANDBOX(profile);
  profile.seccomp = SandboxSyscalls::kOff;
  profile.landlock = false;
  auto all = answers(text_of(hostile_run("own_mounts")));
  EXPECT_EQ(all["unshare"], "done");
  EXPECT_EQ(all["mount"], "done");
  profile.landlock = true;
  all = answers(text_of(hostile_run("own_mounts")));
  EXPECT_EQ(all["unshare"], "done");
  EXPECT_EQ(all["mount"], "EPERM");
}

TEST_F(SandboxReach, Case52_ShadowWritesToUsrChmodOfHostFiles_Refused) {
  REQUIRE_SANDBOX(profile);
  struct stat before {};
  ASSERT_EQ(stat("/usr/bin/env", &before), 0);
  const Outcome out = hostile_run("touch_host");
  const auto all = answers(text_of(out));
  EXPECT_EQ(all.size(), 10U) << text_of(out);
  for (const auto& [what, answer] : all) EXPECT_NE(answer, "done") << what;
  struct stat after {};
  ASSERT_EQ(stat("/usr/bin/env", &after), 0);
  EXPECT_EQ(before.st_mode, after.st_mode);
  EXPECT_FALSE(std::filesystem::exists("/usr/bin/carrel-was-here"));
}

TEST_F(SandboxReach, AMountIsReadOnlyUnlessItSaysOtherwise) {
  REQUIRE_SANDBOX(profile);
  const auto folder = std::filesystem::temp_directory_path() /
                      ("carrel-mount-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  chmod(folder.c_str(), 0777);
  profile.mounts.push_back({folder, "/data", true});
  EXPECT_EQ(run({"sh", "-c", "echo x > /data/file"}).klass, OutcomeClass::kExitNonzero);
  profile.mounts.back().ro = false;
  EXPECT_EQ(run({"sh", "-c", "echo x > /data/file"}).klass, OutcomeClass::kOk);
  EXPECT_TRUE(std::filesystem::exists(folder / "file"));
  std::filesystem::remove_all(folder);
}

TEST_F(SandboxReach, Case53_SecretsInTheEnvironment_Absent) {
  REQUIRE_SANDBOX(profile);
  setenv("CARREL_TEST_SECRET", "s3cret", 1);
  const Outcome out =
      run({"sh", "-c", "cat /proc/self/environ /proc/1/environ; env; ls /proc"});
  unsetenv("CARREL_TEST_SECRET");
  EXPECT_EQ(out.result.find("s3cret"), std::string::npos);
  EXPECT_NE(out.result.find("CARREL_JOB_ID"), std::string::npos) << out.result;
}

TEST_F(SandboxReach, Case54_PtraceKillPidfdGetfdOnPid1_Refused) {
  REQUIRE_SANDBOX(profile);
  // Without the filter and Landlock too: the first process is not to be had.
  for (const auto syscalls : {SandboxSyscalls::kDefault, SandboxSyscalls::kOff}) {
    profile.seccomp = syscalls;
    profile.landlock = syscalls != SandboxSyscalls::kOff;
    const Outcome out = hostile_run("attack_parent");
    EXPECT_EQ(out.klass, OutcomeClass::kExitNonzero) << out.error.message;
    EXPECT_EQ(out.exit_code, 77) << "the status is its own";
    const auto all = answers(out.stderr_tail);
    EXPECT_EQ(all.size(), 9U) << out.stderr_tail;
    for (const auto& [what, answer] : all) {
      if (what == "alive") {
        EXPECT_EQ(answer, "1");
      } else {
        EXPECT_NE(answer, "done") << what;
      }
    }
  }
  expect_control_job();
}

TEST_F(SandboxReach, Case55_KillEverybody_OwnNamespaceOnly) {
  REQUIRE_SANDBOX(profile);
  const auto other = start({"/hostile/deaf", "1000000"});
  const Outcome out = hostile_run("kill_everybody");
  EXPECT_EQ(text_of(out), "killed 9") << out.error.message;
  EXPECT_FALSE(other.sink->ended());
  other.run->kill();
  other.sink->wait();
}

TEST_F(SandboxReach, Case56_SetuidBinary_Inert) {
  REQUIRE_SANDBOX(profile);
  const auto folder = std::filesystem::temp_directory_path() /
                      ("carrel-setuid-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  chmod(folder.c_str(), 0755);
  const auto program = folder / "identity";
  std::filesystem::copy_file(hostile("identity"), program);
  ASSERT_EQ(chmod(program.c_str(), 06755), 0);  // root's, where the host is root
  profile.mounts.push_back({folder, "/setuid", true});
  const Outcome out = run({"/setuid/identity"});
  EXPECT_EQ(text_of(out), "1000 1000 1000 CapPrm:\t0000000000000000");
  std::filesystem::remove_all(folder);
}

TEST_F(SandboxReach, Case57_UnshareUser_EPERM) {
  REQUIRE_SANDBOX(profile);
  const auto all = answers(text_of(hostile_run("new_namespaces")));
  EXPECT_EQ(all.at("unshare"), "EPERM");
  EXPECT_EQ(all.at("clone"), "EPERM");
  EXPECT_EQ(all.at("clone3"), "ENOSYS");
  EXPECT_EQ(all.at("setns"), "EPERM");
}

TEST_F(SandboxReach, Case58_Int80_SIGSYS) {
#if defined(__x86_64__)
  REQUIRE_SANDBOX(profile);
  if (std::system(HOSTILE_DIR "/int80 > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "this kernel has no gate for 32-bit calls (ia32_emulation)";
  }
  const Outcome out = hostile_run("int80");
  EXPECT_EQ(out.klass, OutcomeClass::kSignaled) << out.error.message;
  EXPECT_EQ(out.signal, SIGSYS);
#else
  GTEST_SKIP() << "this processor has no gate of another architecture";
#endif
}

}  // namespace
}  // namespace carrel::test
