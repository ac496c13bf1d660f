// A combination's process is waited for together with all that it leaves behind.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <trial/child.h>
#include <trial/scratch.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

namespace trial {
namespace {

using namespace std::chrono_literals;

class Child : public testing::Test {
 protected:
  static void SetUpTestSuite() { become_reaper(); }
  void SetUp() override {
    std::string pattern = testing::TempDir() + "child-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD) << "a process was left behind";
  }
  carrel::Result<ChildReport> shell(const std::string& script,
                                    std::chrono::milliseconds timeout = 60s) {
    return run_child({"/bin/sh", "-c", script}, folder_ / "log", timeout);
  }
  std::string log() {
    std::ifstream in(folder_ / "log");
    return std::string((std::istreambuf_iterator<char>(in)), {});
  }

  std::filesystem::path folder_;
};

TEST_F(Child, ReportsHowItEndedAndKeepsWhatItSaid) {
  const auto child = shell("echo out; echo err >&2; exit 3");
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(WEXITSTATUS(child->status), 3);
  EXPECT_FALSE(child->timed_out);
  EXPECT_EQ(log(), "out\nerr\n");
}

TEST_F(Child, WaitsForOrphansAndCountsTheirWork) {
  const auto child = shell(
      "setsid sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done' & "
      "exit 0");
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(WEXITSTATUS(child->status), 0);
  EXPECT_EQ(log(), "done\n");
  EXPECT_GT(child->orphans_cpu_s, 0);
  EXPECT_GT(child->orphans_peak_bytes, 0U);
}

TEST_F(Child, KillsEverythingWhenTimeIsUp) {
  const auto child = shell(
      "setsid sh -c 'trap \"\" TERM INT; sleep 1000 & wait' & exec sleep 1000", 200ms);
  ASSERT_TRUE(child.has_value());
  EXPECT_TRUE(child->timed_out);
  EXPECT_EQ(WTERMSIG(child->status), SIGKILL);
}

TEST_F(Child, SaysWhatCannotBeStarted) {
  const auto child = run_child({"/no/such/program"}, folder_ / "log", 1s);
  ASSERT_FALSE(child.has_value());
  EXPECT_NE(child.error().message.find("/no/such/program"), std::string::npos);
}

TEST_F(Child, EndsWithWhoStartedItEvenIfThatIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    if (::fork() == 0) {
      die_with_parent();
      if (::write(ends[1], "r", 1) != 1) ::_exit(1);
    }
    for (;;) ::pause();
  }
  ::close(ends[1]);
  char ready = 0;
  ASSERT_EQ(::read(ends[0], &ready, 1), 1);
  ::kill(parent, SIGKILL);
  // Its end of the pipe closes when it has ended; its parent's is closed by then.
  EXPECT_EQ(::read(ends[0], &ready, 1), 0);
  ::close(ends[0]);
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
}

TEST_F(Child, ItsTemporaryFilesAreInTheTrialsFolder) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    begin(folder_);
    const Folder made("its-own");
    ::_exit(made.path().parent_path() == folder_ ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace trial
