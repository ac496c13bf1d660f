// The server's own life: how it is born, refused, lost, and how it ends with its host.
// Each case is a host of its own, process_host, that prints what it saw.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process_test.h"

namespace carrel::test {
namespace {

class HostProcess {
 public:
  explicit HostProcess(const char* mode) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    output_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    std::string program = PROCESS_HOST;
    std::string argument = mode;
    char* argv[] = {program.data(), argument.data(), nullptr};
    const int error =
        posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) throw std::runtime_error("posix_spawn");
  }
  ~HostProcess() {
    if (pid_ > 0) {
      kill(SIGKILL);
      wait();
    }
    close(output_);
  }
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  void kill(int signal) const { ::kill(pid_, signal); }
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }
  std::string read_line() {
    std::string line;
    for (char c = 0; read(output_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  // Until every process that has the output, the server and its jobs too, is gone.
  std::string read_all() {
    std::string all;
    char buffer[4096];
    for (ssize_t n; (n = read(output_, buffer, sizeof buffer)) > 0;) {
      all.append(buffer, static_cast<std::size_t>(n));
    }
    return all;
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

// What it printed, once it and all of its children are gone.
Json words_of(const char* mode) {
  HostProcess host(mode);
  const std::string all = host.read_all();
  const int status = host.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << mode << ": " << status;
  return Json::parse(all, nullptr, false);
}

using ServerTest = ProcessTest;

TEST_F(ServerTest, ChildrenDieWhenTheHostIsKilled) {
  HostProcess host("wait_to_be_killed");
  const auto pids = Json::parse(host.read_line()).get<std::vector<pid_t>>();
  ASSERT_GE(pids.size(), 6U);
  for (const pid_t pid : pids) EXPECT_TRUE(exists(pid)) << pid;
  host.kill(SIGKILL);
  host.read_all();
  for (const pid_t pid : pids)
    EXPECT_TRUE(eventually([&] { return !exists(pid); })) << pid;
}

TEST_F(ServerTest, AHostWithThreadsIsRefusedAndTheyAreNamed) {
  const Json words = words_of("with_threads");
  for (const std::string text : words) {
    EXPECT_NE(text.find("\"busy-elsewhere\""), std::string::npos) << text;
    EXPECT_NE(text.find("main_hook"), std::string::npos) << text;
    EXPECT_NE(text.find("prefork"), std::string::npos) << text;
  }
  EXPECT_EQ(words.size(), 2U);
}

TEST_F(ServerTest, WithTheHookThreadsDoNotMatter) {
  const Json words = words_of("hooked");
  EXPECT_EQ(words.at(0), "");
  EXPECT_NE(words.at(1).get<std::string>().find("\"stranger\""), std::string::npos)
      << words;
  EXPECT_EQ(words.at(2), "[1]");
  EXPECT_EQ(words.at(3), true) << "the host has a child";
}

TEST_F(ServerTest, WithTheHookAThreadBeforeIt_IsRefusedAndNamed) {
  const std::string text = words_of("hook_thread_before").at(0);
  EXPECT_NE(text.find("\"busy-elsewhere\""), std::string::npos) << text;
  EXPECT_NE(text.find("before main calls carrel::main_hook()"), std::string::npos)
      << text;
}

// What it takes for its host's pidfd is no other file of the host.
TEST_F(ServerTest, BornInAHostWithFewDescriptors_RefusedOrWhole) {
  for (const char* mode : {"few_descriptors", "hook_few_descriptors"}) {
    const auto words = words_of(mode).get<std::vector<std::string>>();
    for (const std::string& word : words) {
      EXPECT_TRUE(word == "refused" || word == "ok") << mode << ": " << Json(words);
    }
    EXPECT_EQ(words.front(), "refused") << mode;
    EXPECT_EQ(words.back(), "ok") << mode;
  }
}

TEST_F(ServerTest, AnotherHandlerOfALaterEngineIsRefusedByName) {
  const Json words = words_of("another_handler");
  EXPECT_NE(words.at(0).get<std::string>().find("\"echo\""), std::string::npos) << words;
  EXPECT_EQ(words.at(1), "1");
}

TEST_F(ServerTest, EnginesShareItAndLaterKindsAreRefusedByName) {
  const Json words = words_of("ignited_twice");
  EXPECT_EQ(words.at(0), "");
  EXPECT_EQ(words.at(1), "");
  EXPECT_NE(words.at(2).get<std::string>().find("\"stranger\""), std::string::npos)
      << words;
  EXPECT_EQ(words.at(3), "exists");
  EXPECT_EQ(words.at(4), "[2]");
}

TEST_F(ServerTest, ASetupThatThrowsIsToldAndCanBeTriedAgain) {
  const Json words = words_of("bad_setup");
  EXPECT_NE(words.at(0).get<std::string>().find("no model file"), std::string::npos)
      << words;
  EXPECT_EQ(words.at(1), "");
}

// One that hangs in its setup, a program that does not come to its hook, and one that
// nobody waits for any more.
TEST_F(ServerTest, AServerThatNeverGreetsIsKilledAndTold) {
  const Json forked = words_of("never_greets");
  EXPECT_NE(forked.at(0).get<std::string>().find("not ready within 200 ms"),
            std::string::npos)
      << forked;
  EXPECT_EQ(forked.at(1), "unavailable");
  EXPECT_EQ(forked.at(2), "[6]") << "another can be made";
  const Json executed = words_of("hook_never_greets");
  for (const int i : {0, 1}) {
    EXPECT_NE(executed.at(i).get<std::string>().find("not ready within 200 ms"),
              std::string::npos)
        << executed;
  }
  EXPECT_NE(executed.at(2).get<std::string>().find("nobody waits"), std::string::npos)
      << executed;
}

TEST_F(ServerTest, AServerThatEndsBeforeItGreets_IsToldOfWithTheHookThatMayBeMissing) {
  const std::string text = words_of("hook_ends_before").at(0);
  EXPECT_NE(text.find("ended before it was ready"), std::string::npos) << text;
  EXPECT_NE(text.find("main does not call carrel::main_hook()"), std::string::npos)
      << text;
}

TEST_F(ServerTest, AServerWithMoreToSayThanAMessageHolds_TheBoundIsNamed) {
  const Json words = words_of("says_much");
  EXPECT_EQ(words.at(0), "invalid");
  EXPECT_NE(words.at(1).get<std::string>().find("too many kinds"), std::string::npos)
      << words.at(1);
  EXPECT_NE(words.at(1).get<std::string>().find("196608"), std::string::npos)
      << words.at(1);
  EXPECT_NE(words.at(2).get<std::string>().find("no model file!!!"), std::string::npos);
}

TEST_F(ServerTest, AChildsHookThatFailsIsHowItsJobFails) {
  EXPECT_EQ(words_of("bad_hooks"), (Json{1, 2}));
}

TEST_F(ServerTest, Case12_BufferedPrintfBeforeTheFork_PrintedOnce) {
  HostProcess host("prints");
  EXPECT_EQ(host.read_all(), "before the fork;from a job;after\n");
  host.wait();
}

TEST_F(ServerTest, AHostWithoutStdio_ItsJobsHaveNoneEither) {
  const Json closed{"", "", ""};
  const Json null{"/dev/null", "/dev/null", "/dev/null"};
  EXPECT_EQ(words_of("without_stdio"), (Json{closed, closed, closed, true, null, "[5]"}));
}

TEST_F(ServerTest, APreloadThatLeavesAThreadIsRefused_AndWhatItDidToSignalsUndone) {
  const Json words = words_of("careless_preloads");
  EXPECT_NE(words[0].get<std::string>().find("\"busy-elsewhere\""), std::string::npos)
      << words[0];
  EXPECT_EQ(words[1], "true") << "no signal is ignored";
  EXPECT_EQ(words[2], true) << "and the server has all of them blocked";
}

TEST_F(ServerTest, Case26_HostWaitsForAnyChild_ThereIsNoneAndNoSigchld) {
  EXPECT_EQ(words_of("hears_sigchld"), (Json{0, true}));
}

TEST_F(ServerTest, Case29_NoProcessLeft_ResourceError) {
  EXPECT_EQ(words_of("out_of_processes"),
            (Json{"resource_error", EAGAIN, "resource_error", EAGAIN, "ok"}));
}

TEST_F(ServerTest, Case29_NoMemoryForAProcess_ResourceError) {
  const Json words = words_of("out_of_memory");
  if (words == "cannot") GTEST_SKIP() << "user_namespaces: they are off here";
  EXPECT_EQ(words, (Json{"resource_error", ENOMEM, "resource_error", ENOMEM}));
}

TEST_F(ServerTest, Case30_ServerKilled_WorkerLostAndRestarted) {
  const Json words = words_of("lost");
  EXPECT_EQ(words.at(0), "worker_lost");
  EXPECT_EQ(words.at(1), true) << "its child lives on";
  EXPECT_EQ(words.at(2), "[3]") << "the keeper did not start another";
  EXPECT_EQ(words.at(3), "worker_lost");
  EXPECT_EQ(words.at(4), true);
  EXPECT_NE(words.at(5).get<std::string>().find("main_hook"), std::string::npos) << words;
}

TEST_F(ServerTest, Case30_ServerAndKeeperKilled_MadeAgainByTheHook) {
  EXPECT_EQ(words_of("hook_lost"),
            (Json{"worker_lost", true, "[3]", "worker_lost", true, "[3]"}));
}

TEST_F(ServerTest, Case30_KilledOftenByItsJobs_ForkedAgainAllTheSame) {
  EXPECT_EQ(words_of("dies_often").size(), 12U) << "servers, each another process";
}

TEST_F(ServerTest, Case31_AddressSpaceBelowTheInheritedSize_ConfigError) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "needs a program whose address space is not the sanitizer's";
#endif
  const Json words = words_of("short_of_address_space");
  const std::string refused = words.at(0);
  EXPECT_NE(refused.find("RLIMIT_AS"), std::string::npos) << refused;
  EXPECT_NE(refused.find("ulimit -v"), std::string::npos) << refused;
  EXPECT_EQ(words.at(1), "[4]") << "with room enough it works";
}

// Nothing here could end one for certain: that is what a sandbox is for.
TEST_F(ServerTest, Case32_ForkBombInForkMode_DocumentedAsUnsupported) {
  EXPECT_NE(text_of_file(ISOLATION_README)
                .find("A fork bomb in a handler of `fork` is not supported"),
            std::string::npos);
}

}  // namespace
}  // namespace carrel::test
