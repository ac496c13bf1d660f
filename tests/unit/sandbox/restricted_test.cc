// The tier for machines without user namespaces: no root of its own, so Landlock bounds
// the files and the filter the network.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "other_host.h"
#include "sandbox_test.h"

namespace carrel::test {
namespace {

class SandboxRestricted : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    restrict_profile();
  }
};

TEST_F(SandboxRestricted, AProgramRunsInAFolderThatIsGoneAfterwards) {
  REQUIRE_SANDBOX(profile);
  const Outcome out = run({"sh", "-c", "echo x > file && pwd && id -u"});
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message << out.stderr_tail;
  const std::string text = text_of(out);
  const std::string folder = text.substr(0, text.find('\n'));
  EXPECT_NE(folder.find("carrel-box-"), std::string::npos) << text;
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_NE(text.substr(text.find('\n') + 1), "0") << "never root";
}

// The process server lets the room, and its boxes, tidy up before it ends.
TEST_F(SandboxRestricted, HostKilled_ItsFoldersAreRemoved) {
  REQUIRE_SANDBOX(profile);
  const auto place = shared_folder() / "tmp";
  std::filesystem::create_directory(place);
  const auto folders = [&] {
    const std::filesystem::directory_iterator entries(place);
    return std::distance(begin(entries), end(entries));
  };
  setenv("TMPDIR", place.c_str(), 1);
  OtherHost host("restricted");
  unsetenv("TMPDIR");
  ASSERT_EQ(host.read_line(), "ready");
  EXPECT_GE(folders(), 1);
  host.kill();
  host.wait_for_all();
  EXPECT_EQ(folders(), 0);
}

TEST_F(SandboxRestricted, Case52_ShadowWritesToUsrChmodOfHostFiles_Refused) {
  REQUIRE_SANDBOX(profile);
  // Nothing of this could an ordinary user do without a sandbox either, but "node" and
  // what follows below.
  const Outcome out = hostile_run("touch_host");
  EXPECT_EQ(answers(text_of(out)).size(), 10U) << text_of(out);
  EXPECT_EQ(text_of(out).find("done"), std::string::npos) << text_of(out);
  EXPECT_EQ(run({"sh", "-c", "ls / || ls /etc || ls /home"}).klass,
            OutcomeClass::kExitNonzero);
  EXPECT_EQ(run({"sh", "-c", "echo x > " + (shared_folder() / "x").string()}).klass,
            OutcomeClass::kExitNonzero);
}

TEST_F(SandboxRestricted, Case49_TcpUdp_ENETUNREACH) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(text_of(hostile_run("network")),
            "ENETUNREACH ENETUNREACH ENETUNREACH ENETUNREACH");
}

TEST_F(SandboxRestricted, Case51_TheHostsUnixSockets_Refused) {
  REQUIRE_SANDBOX(profile);
  const std::string name = "@carrel-" + std::to_string(getpid());
  const std::string path = shared_folder() / "socket";
  const auto abstract = bind_unix(name);
  const auto named = bind_unix(path);
  const auto abstract_letters = bind_unix(name + "-letters", SOCK_DGRAM);
  const auto named_letters = bind_unix(path + "-letters", SOCK_DGRAM);
  for (const auto network : {SandboxNetwork::kNone, SandboxNetwork::kHost}) {
    profile.network = network;
    EXPECT_EQ(text_of(hostile_run("unix_connect", {"socket", name, path})),
              "EACCES EACCES");
    // One end of a pair of datagrams could be connected anew; a raw one is the same.
    for (const char* how : {"datagrams", "raw"}) {
      EXPECT_EQ(text_of(hostile_run("unix_connect",
                                    {how, name + "-letters", path + "-letters"})),
                "EACCES EACCES");
    }
    EXPECT_EQ(text_of(hostile_run("unix_connect", {"pair", path})), "EISCONN");
  }
}

// Of the same user's, where the host is no root.
TEST_F(SandboxRestricted, Case54_TheHostsProcesses_OutOfReach) {
  REQUIRE_SANDBOX(profile);
  const auto all =
      answers(text_of(hostile_run("reach_process", {std::to_string(getpid())})));
  EXPECT_EQ(all.size(), 14U);
  for (const auto& [what, answer] : all) EXPECT_EQ(answer, "EPERM") << what;
}

TEST_F(SandboxRestricted, SharedMemoryAndQueuesOfTheHost_OutOfReach) {
  REQUIRE_SANDBOX(profile);
  const auto all = answers(text_of(hostile_run("shared_memory")));
  EXPECT_EQ(all.size(), 12U);
  for (const auto& [what, answer] : all) EXPECT_EQ(answer, "EPERM") << what;
}

// Landlock knows no right to change these, and a filter sees no path: by default the
// program can where it is the host's own user, as isolation/README.md says.
TEST_F(SandboxRestricted, Strict_ModesTimesAndAttributesOfFilesThatAreNotOpen_Refused) {
  REQUIRE_SANDBOX(profile);
  const std::string path = shared_folder() / "file";
  std::ofstream(path) << "text";
  chmod(path.c_str(), 0600);
  auto all = answers(text_of(hostile_run("change_file", {path})));
  EXPECT_EQ(all.at("chmod"), geteuid() == 0 ? "EPERM" : "done");
  chmod(path.c_str(), 0600);
  profile.seccomp = SandboxSyscalls::kStrict;
  all = answers(text_of(hostile_run("change_file", {path})));
  EXPECT_EQ(all.size(), 13U);
  EXPECT_EQ(all.extract("own_mode").mapped(), "done");
  EXPECT_EQ(all.extract("own_times").mapped(), "done");
  for (const auto& [what, answer] : all) EXPECT_EQ(answer, "EPERM") << what;
}

TEST_F(SandboxRestricted, OrdinaryProgramsRun) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(text_of(run({"sh", "-c", "echo b > b; cp -p b c; nice sort b c | wc -l"})),
            "2");
  if (std::filesystem::exists("/usr/bin/python3")) {
    EXPECT_EQ(text_of(run({"/usr/bin/python3", "-c",
                           "import subprocess, threading, socket\n"
                           "t = threading.Thread(target=socket.socketpair)\n"
                           "t.start(); t.join()\n"
                           "print(subprocess.check_output(['echo', '7']).decode())"})),
              "7");
  }
  if (std::filesystem::exists("/usr/bin/cc")) {
    const Outcome out = run(
        {"sh", "-c", "echo 'int main(void) { return 7; }' > a.c; cc a.c -o a && ./a"});
    EXPECT_EQ(out.exit_code, 7) << out.stderr_tail;
  }
}

TEST_F(SandboxRestricted, ItsFolderIsHomeAndForTemporaryFiles) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(
      text_of(run({"sh", "-c", "test $HOME = $PWD && test $TMPDIR = $PWD && echo 1"})),
      "1");
  spec.env = {{"HOME", "/usr"}};
  EXPECT_EQ(text_of(run({"sh", "-c", "test $TMPDIR = $PWD && echo $HOME"})), "/usr");
}

// Who may set its limits can leave it without what it waits with.
TEST_F(SandboxRestricted, ABoxThatCannotWaitEndsItsProgramAndRemovesItsFolder) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  const auto job = start({"sh", "-c",
                          "trap 'echo log told >&3' TERM; pwd >&2; sleep 1000 &\n"
                          "echo log ready >&3; while :; do wait; done"});
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  const auto programs = programs_below(server);
  ASSERT_FALSE(programs.empty());
  const pid_t box = parent_of(programs[0]);
  // Who has told its program waits for its end, and has nothing else to do.
  job.run->request_stop(StopReason::kTimeout);
  job.sink->wait_until([](const Recorder& r) { return r.logged("told"); });
  rlimit files{};
  ASSERT_EQ(prlimit(box, RLIMIT_NOFILE, nullptr, &files), 0);
  files.rlim_cur = 1;
  ASSERT_EQ(prlimit(box, RLIMIT_NOFILE, &files, nullptr), 0);
  ASSERT_EQ(kill(box, SIGCHLD), 0);  // it wakes, and cannot go on to wait
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_TRUE(programs_below(server).empty());
  const std::string folder = out.stderr_tail.substr(0, out.stderr_tail.find('\n'));
  EXPECT_FALSE(std::filesystem::exists(folder)) << folder;
}

// A program that is past its time is dead at once; to remove what it has made may take
// longer than a box has for its last words, and these are not lost.
TEST_F(SandboxRestricted, AFolderThatTakesLongToRemove_TheReportIsThere) {
  REQUIRE_SANDBOX(profile);
  if (!std::filesystem::exists("/usr/bin/python3")) GTEST_SKIP() << "python3: not here";
  constexpr std::ptrdiff_t kFiles = 30'000;
  const pid_t server = server_pid();
  const auto job = start({"/usr/bin/python3", "-c",
                          "import os, sys, time\n"
                          "print(os.getcwd(), file=sys.stderr, flush=True)\n"
                          "for i in range(" +
                              std::to_string(kFiles) +
                              "): open(str(i), 'w').close()\n"
                              "os.write(3, b'log ready\\n')\n"
                              "time.sleep(1000)\n"});
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  const auto programs = programs_below(server);
  ASSERT_EQ(programs.size(), 1U);
  const pid_t box = parent_of(programs[0]);
  const std::filesystem::path folder =
      std::filesystem::read_symlink("/proc/" + std::to_string(programs[0]) + "/cwd");
  job.run->request_stop(StopReason::kTimeout);
  job.run->kill();
  // It is stopped while it removes: where it is through already there is nothing to see.
  const auto all_there = [&] {
    std::error_code error;
    std::ptrdiff_t count = 0;
    std::filesystem::directory_iterator file(folder, error);
    for (; !error && file != std::filesystem::directory_iterator(); file.increment(error))
      ++count;
    return count == kFiles;
  };
  while (all_there()) {
  }
  ::kill(box, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  ::kill(box, SIGCONT);
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_GT(out.usage.cpu.count(), 0) << "the box was killed, and its report is lost";
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(SandboxRestricted, TheBoxIsKilled_ItsProgramsAreDeadAndItsFolderIsGone) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  const auto job = start({"sh", "-c",
                          "pwd >&2; setsid sh -c 'sleep 1000 & sleep 1000' & "
                          "sleep 1000 & echo log ready >&3; exec sleep 1000"});
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  std::vector<pid_t> programs;
  ASSERT_TRUE(eventually([&] { return (programs = programs_below(server)).size() == 5; }))
      << programs.size();
  kill(parent_of(programs[0]), SIGKILL);
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kSignaled);
  EXPECT_TRUE(eventually([&] { return programs_below(server).empty(); }));
  const std::string folder = out.stderr_tail.substr(0, out.stderr_tail.find('\n'));
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(folder); })) << folder;
}

}  // namespace
}  // namespace carrel::test
