// The tier for machines without user namespaces: no root of its own, so Landlock bounds
// the files and the filter the network.
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "other_host.h"
#include "sandbox_test.h"

namespace carrel::test {
namespace {

class SandboxRestricted : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    profile.tier = SandboxTier::kRestricted;
    // Among the host's folders, where an ordinary user can see them.
    folder_ = std::filesystem::temp_directory_path() /
              ("carrel-restricted-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_ / "bin");
    std::filesystem::create_directories(folder_ / "tmp");
    for (const char* path : {"", "bin", "tmp"}) chmod((folder_ / path).c_str(), 0777);
    for (const char* name : {"touch_host", "mess", "network", "grandchild",
                             "new_namespaces", "many_files", "ignore_all"}) {
      std::filesystem::copy_file(hostile(name), folder_ / "bin" / name);
    }
    profile.mounts = {{folder_ / "bin", "", true}};
  }
  void TearDown() override {
    SandboxTest::TearDown();
    std::filesystem::remove_all(folder_);
  }
  std::string program_path(const char* name) { return folder_ / "bin" / name; }
  std::filesystem::path folder_;
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
  const auto place = folder_ / "tmp";
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
  const Outcome out = run({program_path("touch_host")});
  EXPECT_EQ(text_of(out).find("done"), std::string::npos) << text_of(out);
  EXPECT_EQ(run({"sh", "-c", "ls / || ls /etc || ls /home"}).klass,
            OutcomeClass::kExitNonzero);
  EXPECT_EQ(run({"sh", "-c", "echo x > " + (folder_ / "tmp/x").string()}).klass,
            OutcomeClass::kExitNonzero);
}

TEST_F(SandboxRestricted, Case49_TcpUdp_ENETUNREACH) {
  REQUIRE_SANDBOX(profile);
  EXPECT_EQ(text_of(run({program_path("network")})),
            "ENETUNREACH ENETUNREACH ENETUNREACH ENETUNREACH");
}

TEST_F(SandboxRestricted, Case48_GrandchildOrDaemon_DeadAtOnce) {
  REQUIRE_SANDBOX(profile);
  for (const char* how : {"group", "session", "zombie"}) {
    const Outcome out = run({program_path("grandchild"), how});
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_TRUE(out.leftover_killed) << how;
  }
}

TEST_F(SandboxRestricted, Case47_IgnoresEverything_Killed) {
  REQUIRE_SANDBOX(profile);
  const auto job = start({program_path("ignore_all")});
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->request_stop(StopReason::kTimeout);
  job.run->terminate();
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.signal, SIGKILL);
}

TEST_F(SandboxRestricted, Case57_UnshareUser_EPERM) {
  REQUIRE_SANDBOX(profile);
  const std::string text = text_of(run({program_path("new_namespaces")}));
  EXPECT_EQ(text.find("done"), std::string::npos) << text;
}

TEST_F(SandboxRestricted, Case66_DeepOrMode000_Cleaned) {
  REQUIRE_SANDBOX(profile);
  const Outcome out =
      run({"sh", "-c", "pwd >&2; exec " + program_path("mess") + " deep"});
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message << out.exit_code;
  const std::string folder = out.stderr_tail.substr(0, out.stderr_tail.find('\n'));
  EXPECT_FALSE(std::filesystem::exists(folder)) << folder;
}

}  // namespace
}  // namespace carrel::test
