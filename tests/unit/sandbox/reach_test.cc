// Programs that reach for what is not theirs.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>

#include "../machine.h"
#include "os.h"
#include "sandbox_test.h"
#include "setuid_program.h"

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
  const std::string six = text_of(hostile_run("network", {port, "6"}));
  EXPECT_EQ(six, none);
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
  const std::string path = shared_folder() / "socket";
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
}

// A socket in a folder that a profile mounts is part of what it gives; where the network
// is none, strict gives no unix socket all the same.
TEST_F(SandboxReach, ASocketInAMountIsReachedUnlessStrict) {
  REQUIRE_SANDBOX(profile);
  const auto named = bind_unix(shared_folder() / "socket");
  profile.mounts.push_back({shared_folder(), "/data", true});
  EXPECT_EQ(text_of(hostile_run("unix_connect", {"socket", "/data/socket"})), "reached");
  profile.seccomp = SandboxSyscalls::kStrict;
  EXPECT_EQ(text_of(hostile_run("unix_connect", {"socket", "/data/socket"})), "EACCES");
}

TEST_F(SandboxReach, Case54_TheLimitsOfItsSupervisor_OutOfReach) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(answers(text_of(hostile_run("reach_process", {"1"})))["prlimit"], "EPERM");
}

TEST_F(SandboxReach, Case39_MemoryAndTablesThatNoLimitCounts_Refused) {
  REQUIRE_SANDBOX(profile);
  const auto all = answers(text_of(hostile_run("uncounted")));
  EXPECT_EQ(all.size(), 6U);
  for (const auto& [what, answer] : all) EXPECT_EQ(answer, "EPERM") << what;
}

// The kernel counts them by user, against what each sender may open.
TEST_F(SandboxReach, DescriptorsOnTheirWay_KeepNoOtherJobFromStarting) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_cur > 1 << 20) {
    GTEST_SKIP() << "the host may open " << files.rlim_cur << " files: too many to send";
  }
  profile.open_files = files.rlim_cur;  // as many as its host
  REQUIRE_SANDBOX(profile);
  const auto job = start({program_path("in_flight")});
  job.sink->wait_until([](const Recorder& r) { return r.logged("full"); });
  expect_control_job();
  job.run->kill();
  job.sink->wait();
}

TEST_P(SandboxTiers, SignalsThatWait_Few) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(text_of(run({"/bin/bash", "-c", "ulimit -i"})), "1024");
}

TEST_F(SandboxReach, FirstProcess_HeldToTheFilterToo) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(text_of(run(
                {"/bin/bash", "-c", "grep -hE '^(NoNewPrivs|Seccomp):' /proc/1/status"})),
            "NoNewPrivs:\t1\nSeccomp:\t2");
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
  // By what it finds, or does not, whoever it is: an ordinary user could do none of this
  // on the host either.
  const std::map<std::string, std::string> expected = {
      {"shadow", "ENOENT"}, {"root", "ENOENT"},  {"disk", "ENOENT"},
      {"link", "ENOENT"},   {"create", "EROFS"}, {"overwrite", "EACCES"},
      {"chmod", "EROFS"},   {"unlink", "EROFS"}, {"passwd", "EROFS"},
      {"node", "EACCES"}};
  EXPECT_EQ(answers(text_of(hostile_run("touch_host"))), expected);
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

// Host, server, room and box have it: see main.cc.
TEST_P(SandboxTiers, Case53_SecretsInTheEnvironment_Absent) {
  REQUIRE_SANDBOX(profile);
  ASSERT_STREQ(getenv("CARREL_TEST_SECRET"), "s3cret");
  const Outcome out =
      run({"sh", "-c", "env; cat /proc/[0-9]*/environ 2>&1; ls /proc 2>&1; true"});
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result.find("s3cret"), std::string::npos);
  EXPECT_NE(out.result.find("CARREL_JOB_ID"), std::string::npos) << out.result;
}

TEST_P(SandboxTiers, Case54_PtraceKillPidfdGetfdOnItsSupervisor_Refused) {
  REQUIRE_SANDBOX(profile);
  // Without the filter and Landlock too: the first process is not to be had. Where there
  // are no namespaces, these alone stand between them.
  for (const auto syscalls : {SandboxSyscalls::kDefault, SandboxSyscalls::kOff}) {
    if (restricted() && syscalls == SandboxSyscalls::kOff) continue;
    profile.seccomp = syscalls;
    profile.landlock = syscalls != SandboxSyscalls::kOff;
    const Outcome out = hostile_run("attack_parent");
    EXPECT_EQ(out.klass, OutcomeClass::kExitNonzero) << out.error.message;
    EXPECT_EQ(out.exit_code, 77) << "the status is its own";
    const auto all = answers(out.stderr_tail);
    EXPECT_EQ(all.size(), 9U) << out.stderr_tail;
    for (const char* what : {"attach", "seize", "readv", "getfd"}) {
      EXPECT_EQ(all.at(what), "EPERM") << what;
    }
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

TEST_P(SandboxTiers, Case55_KillEverybody_OwnNamespaceOnly) {
  REQUIRE_SANDBOX(profile);
  if (restricted() && landlock_version() < 6) {
    GTEST_SKIP() << "landlock: version 6 (Linux 6.12) keeps signals within a sandbox";
  }
  const auto other = start({"sh", "-c",
                            "trap 'kill $!; exit 7' TERM; sleep 1000 & "
                            "echo log ready >&3; wait"});
  other.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  const Outcome out = hostile_run("kill_everybody");
  EXPECT_EQ(text_of(out), "killed 9") << out.error.message;
  EXPECT_FALSE(other.sink->ended());
  other.run->request_stop(StopReason::kCancel);
  EXPECT_EQ(other.sink->wait().exit_code, 7) << "it was there to hear that";
}

TEST_P(SandboxTiers, Case56_SetuidBinary_Inert) {
  const auto& folder = SetuidProgram::folder();
  struct stat program {};
  ASSERT_EQ(stat((folder / "identity").c_str(), &program), 0);
  ASSERT_EQ(program.st_mode & 07777, 06755U);
  profile.mounts.push_back({folder, restricted() ? "" : "/setuid", true});
  REQUIRE_SANDBOX(profile);
  const std::string place = restricted() ? folder.string() : "/setuid";
  const auto all = answers(text_of(run({place + "/identity"})));
  const std::string within =
      restricted() ? std::to_string(geteuid() == 0 ? kSandboxed : geteuid()) : "1000";
  EXPECT_EQ(all.at("users"), within + "," + within + "," + within);
  const std::string group =
      restricted() && geteuid() != 0 ? std::to_string(getegid()) : within;
  EXPECT_EQ(all.at("groups"), group + "," + group + "," + group);
  EXPECT_EQ(all.at("capabilities"), "none");
  EXPECT_EQ(all.at("no_new_privs"), "1");
  // Among the host's own files it is as the host has it.
  if (!restricted()) {
    EXPECT_EQ(all.at("nosuid"), "1");
  }
}

// Whoever else reaches its folder would be its user by them.
TEST_P(SandboxTiers, FilesThatRunAsTheirOwner_Refused) {
  REQUIRE_SANDBOX(profile);
  auto all = answers(text_of(hostile_run("set_ids")));
  EXPECT_EQ(std::exchange(all["open"], ""), "done");
  EXPECT_EQ(std::exchange(all["chmod_plain"], ""), "done");
  EXPECT_EQ(std::exchange(all["stat"], ""), "done");
  EXPECT_EQ(std::exchange(all["mode"], ""), "755");
  EXPECT_EQ(all.size(), 15U);
  for (const auto& [what, answer] : all) {
    if (!answer.empty()) {
      EXPECT_EQ(answer, "EPERM") << what;
    }
  }
}

TEST_P(SandboxTiers, TheNamesOfItsOwnPipes_Open) {
  REQUIRE_SANDBOX(profile);
  const Outcome out =
      run({"/bin/sh", "-c", "echo out > /dev/stdout && echo err > /dev/stderr"});
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(text_of(out), "out");
  EXPECT_EQ(out.stderr_tail, "err\n");
}

TEST_F(SandboxReach, TheCommandLineOfItsHost_IsNotThere) {
  REQUIRE_SANDBOX(profile);
  const Outcome out = run({"/bin/sh", "-c", "tr '\\0' ' ' < /proc/$PPID/cmdline"});
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_TRUE(text_of(out).starts_with("carrel-room")) << text_of(out);
}

TEST_P(SandboxTiers, ASignalOfItsOwn_IsNoCpuTimeout) {
  REQUIRE_SANDBOX(profile);
  const Outcome out = run({"/bin/sh", "-c", "kill -XCPU $$"});
  EXPECT_EQ(out.klass, OutcomeClass::kSignaled) << out.error.message;
}

TEST_P(SandboxTiers, Case57_UnshareUser_EPERM) {
  REQUIRE_SANDBOX(profile);
  const auto all = answers(text_of(hostile_run("new_namespaces")));
  EXPECT_EQ(all.at("unshare"), "EPERM");
  EXPECT_EQ(all.at("clone"), "EPERM");
  EXPECT_EQ(all.at("clone3"), "ENOSYS");
  EXPECT_EQ(all.at("setns"), "EPERM");
}

TEST_P(SandboxTiers, Case58_Int80_SIGSYS) {
#if defined(__x86_64__)
  REQUIRE_SANDBOX(profile);
  const Outcome alone = exec_host({hostile("int80")}).run("program");
  if (alone.signal == SIGSEGV) {
    GTEST_SKIP() << "this kernel has no gate for 32-bit calls (ia32_emulation)";
  }
  ASSERT_EQ(alone.klass, OutcomeClass::kOk) << alone.error.message;
  const Outcome out = hostile_run("int80");
  EXPECT_EQ(out.klass, OutcomeClass::kSignaled) << out.error.message;
  EXPECT_EQ(out.signal, SIGSYS);
#else
  GTEST_SKIP() << "this processor has no gate of another architecture";
#endif
}

// Whether the kernel knows them or not.
TEST_P(SandboxTiers, Case58_X32_SIGSYS) {
#if defined(__x86_64__)
  REQUIRE_SANDBOX(profile);
  EXPECT_NE(exec_host({hostile("x32")}).run("program").signal, SIGSYS);
  const Outcome out = hostile_run("x32");
  EXPECT_EQ(out.klass, OutcomeClass::kSignaled) << out.error.message;
  EXPECT_EQ(out.signal, SIGSYS);
#else
  GTEST_SKIP() << "this processor has no numbers of another architecture";
#endif
}

}  // namespace
}  // namespace carrel::test
