// What a program can rely on, and how its ends are told.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "process_test.h"

namespace carrel::test {
namespace {

class ExecTest : public ProcessTest {
 protected:
  Host& shell(const std::string& script) { return exec_host({"sh", "-c", script}); }
};

TEST_F(ExecTest, JsonOnStdoutIsTheResult) {
  const Outcome out = shell("cat").run("program", R"({"a": [1, 2]})");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result, R"({"a": [1, 2]})");
  EXPECT_GT(out.usage.max_rss_bytes, 0U);
}

TEST_F(ExecTest, TextOnStdoutIsAStringAndNothingIsNothing) {
  EXPECT_EQ(shell("echo hello").run("program").result, "\"hello\"");
  EXPECT_EQ(shell("true").run("program").result, "");
}

TEST_F(ExecTest, TheEnvironmentIsBuilt) {
  setenv("CARREL_TEST_SECRET", "s3cret", 1);
  Host& host = exec_host({"env"}, {{"GREETING", "hello there"}, {"CARREL_JOB_ID", "8"}});
  const Outcome out = host.run("program");
  unsetenv("CARREL_TEST_SECRET");
  const std::string text = "\n" + Json::parse(out.result).get<std::string>() + "\n";
  for (const char* line :
       {"GREETING=hello there", "CARREL_JOB_ID=7", "CARREL_JOB_FENCE=3",
        "CARREL_JOB_ATTEMPT=2", "CARREL_JOB_KIND=program", "CARREL_JOB_QUEUE=default",
        "CARREL_JOB_PROGRESS_FD=3"}) {
    EXPECT_NE(text.find("\n" + std::string(line) + "\n"), std::string::npos)
        << line << text;
  }
  EXPECT_NE(text.find("\nPATH="), std::string::npos);
  EXPECT_EQ(text.find("s3cret"), std::string::npos);
  EXPECT_EQ(text.find("CARREL_JOB_ID=8"), std::string::npos) << "which would it read?";
}

TEST_F(ExecTest, ItsDescriptorsAndSignalsAreThoseOfAFreshProcess) {
  const Outcome out = exec_host({hostile("inherited")}).run("program");
  EXPECT_EQ(Json::parse(out.result),
            (Json{{"fds", {0, 1, 2, 3}}, {"blocked", 0}, {"ignored", 0}}));
}

TEST_F(ExecTest, ItLeadsASessionAndRunsInItsFolder) {
  Host& host = exec_host({"sh", "-c", "pwd; ps -o sid= -p $$ | tr -d ' '; echo $$"}, {},
                         "/usr/lib");
  const Outcome out = host.run("program");
  const std::string text = Json::parse(out.result).get<std::string>();
  EXPECT_EQ(text.substr(0, 9), "/usr/lib\n");
  const auto second = text.find('\n', 9);
  EXPECT_EQ(text.substr(9, second - 9), text.substr(second + 1)) << text;
}

// The host's hook hears of each.
TEST_F(ExecTest, ProgressThatComesTooFast_SomeOfItAndTheLast) {
  const auto job =
      shell("i=0; while [ $i -le 1000 ]; do echo progress 0.5 $i; i=$((i+1)); done >&3")
          .start("program");
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kOk);
  EXPECT_LT(job.sink->progress.size(), 500U);
  ASSERT_FALSE(job.sink->progress.empty());
  EXPECT_EQ(job.sink->progress.back().message, "1000");
}

TEST_F(ExecTest, TheLastOfABurstOfProgressIsToldBeforeTheEnd) {
  const auto job =
      shell(
          "i=0; while [ $i -le 100 ]; do echo progress 0.5 $i; i=$((i+1)); done >&3;"
          "exec sleep 600")
          .start("program");
  job.sink->wait_until([](const Recorder& seen) {
    return !seen.progress.empty() && seen.progress.back().message == "100";
  });
  EXPECT_FALSE(job.sink->ended());
  job.run->kill();
  job.sink->wait();
}

TEST_F(ExecTest, ProgressAndLogComeByDescriptor3AndStderr) {
  const auto job =
      shell(
          "echo 'progress 0.5 half' >&3; echo 'log noted' >&3; echo nonsense >&3;"
          "echo more nonsense >&3; echo aside >&2; printf 'no newline' >&2")
          .start("program");
  const Outcome out = job.sink->wait();
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  ASSERT_EQ(job.sink->progress.size(), 1U);
  EXPECT_FLOAT_EQ(job.sink->progress[0].fraction, 0.5F);
  EXPECT_EQ(job.sink->progress[0].message, "half");
  EXPECT_TRUE(job.sink->logged("noted"));
  EXPECT_TRUE(job.sink->logged("aside"));
  EXPECT_TRUE(job.sink->logged("no newline"));
  EXPECT_TRUE(job.sink->logged("not understood on descriptor 3: nonsense"));
  EXPECT_EQ(job.sink->log.size(), 4U);
  EXPECT_EQ(out.stderr_tail, "aside\nno newline");
}

TEST_F(ExecTest, AnExitCodeIsAFailureWithTheTailOfStderr) {
  const Outcome out =
      shell("i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3")
          .run("program");
  EXPECT_EQ(out.klass, OutcomeClass::kExitNonzero);
  EXPECT_EQ(out.exit_code, 3);
  EXPECT_EQ(out.result, "");
  EXPECT_LE(out.stderr_tail.size(), 4096U);
  EXPECT_TRUE(out.stderr_tail.starts_with("line ")) << out.stderr_tail.substr(0, 20);
  EXPECT_TRUE(out.stderr_tail.ends_with("line 1999\n"));
}

TEST_F(ExecTest, ASignalIsToldAsOne) {
  const Outcome out = shell("kill -SEGV $$").run("program");
  EXPECT_EQ(out.klass, OutcomeClass::kSignaled);
  EXPECT_EQ(out.signal, SIGSEGV);
}

TEST_F(ExecTest, AStopRequestIsTermToTheLeader) {
  const auto job = shell(
                       "trap 'echo heard >&2; exit 0' TERM; echo ready >&2; while :; do "
                       "sleep 0.01; done")
                       .start("program");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->request_stop(StopReason::kTimeout);
  const Outcome out = job.sink->wait();
  EXPECT_TRUE(job.sink->logged("heard"));
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.error.code, Code::kTimeout);
  EXPECT_EQ(out.result, "");
}

TEST_F(ExecTest, TerminateReachesTheWholeGroup) {
  const auto job =
      shell("trap '' TERM; (trap - TERM; echo ready >&2; exec sleep 1000); echo gone >&2")
          .start("program");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->request_stop(StopReason::kCancel);
  job.run->terminate();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kCancelled);
}

// A pipe that nobody reads would stop this program for ever.
TEST_F(ExecTest, InputAndOutputLargerThanAnyPipeDoNotBlockEachOther) {
  Host& host = shell("cat; head -c 1000000 /dev/zero | tr '\\0' e >&2");
  host.limits.result_bytes = 8 << 20;
  const std::string text = Json(std::string(4 << 20, 'x')).dump();
  const Outcome out = host.run("program", text);
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_TRUE(out.result == text);
}

TEST_F(ExecTest, OutputOfAGrandchildIsWaitedForWithinTheDrainGrace) {
  Host& host = exec_host({hostile("late")});
  host.limits.drain_grace = kPatience;
  const Outcome out = host.run("program");
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result, "[1,2]");
}

// What it left holds its pipes. Its end was told to the host, but not yet to anybody
// else.
Started drained(Host& host) {
  const auto job = host.start("program");
  job.sink->wait_until([](const Recorder& r) { return r.log.size() == 2; });
  const auto pid = static_cast<pid_t>(std::stol(job.sink->log.at(0)));
  EXPECT_TRUE(eventually([pid] { return !exists(pid); }));
  server_pid();  // it has told that before
  for (int i = 0; i < 2; ++i) host.settle();
  EXPECT_FALSE(job.sink->ended());
  return job;
}
constexpr const char* kLeaves =
    "sleep 1000 & echo log $$ >&3; echo log $! >&3; echo 7; exit 0";
pid_t left_by(const Started& job) {
  return static_cast<pid_t>(std::stol(job.sink->log.at(1)));
}

TEST_F(ExecTest, AProgramThatHasEndedIsWaitedForNoLongerThanAnybodyWants) {
  Host& host = shell(kLeaves);
  host.limits.drain_grace = 10 * kPatience;
  const auto killed = drained(host);
  killed.run->kill();
  const auto stopped = drained(host);
  stopped.run->request_stop(StopReason::kTimeout);
  for (const auto& job : {killed, stopped}) {
    const Outcome out = job.sink->wait();
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << "it was through before that";
    EXPECT_EQ(out.result, "7");
    EXPECT_TRUE(eventually([&] { return !exists(left_by(job)); }));
  }
}

TEST_F(ExecTest, WhatAnEndedProgramLeftOutlivesNoHost) {
  Host& host = shell(kLeaves);
  host.limits.drain_grace = 10 * kPatience;
  auto job = drained(host);
  const pid_t left = left_by(job);
  EXPECT_TRUE(exists(left));
  job.run->abandon();
  job = {};  // it lives on its host's reactor
  close_hosts();
  EXPECT_TRUE(eventually([left] { return !exists(left); }));
}

TEST_F(ExecTest, AStopThatMeetsTheEndOfItsProgramTakesNoResult) {
  const auto go =
      std::filesystem::temp_directory_path() / ("carrel-go-" + std::to_string(getpid()));
  Host& host = shell("echo log $$ >&3; until [ -e " + go.string() +
                     " ]; do sleep 0.01; done; echo 7");
  const auto job = host.start("program");
  job.sink->wait_until([](const Recorder& r) { return !r.log.empty(); });
  const auto leader = static_cast<pid_t>(std::stol(job.sink->log.at(0)));
  auto held = host.hold();
  std::ofstream(go).put('\n');
  EXPECT_TRUE(eventually([leader] { return !exists(leader); }));
  server_pid();  // it has told that before
  job.run->request_stop(StopReason::kTimeout);
  held.set_value();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result, "7");
  std::filesystem::remove(go);
}

// The server has told of its end, and the host has not heard of that yet.
TEST_F(ExecTest, AKillThatMeetsTheEndOfItsProgramIsForWhatThatLeft) {
  Host& host = shell("sleep 1000 & echo log $$ >&3; echo log $! >&3; sleep 1000");
  host.limits.drain_grace = 10 * kPatience;
  const auto job = host.start("program");
  job.sink->wait_until([](const Recorder& r) { return r.log.size() == 2; });
  const auto leader = static_cast<pid_t>(std::stol(job.sink->log.at(0)));
  const pid_t left = left_by(job);
  auto held = host.hold();
  ::kill(leader, SIGKILL);
  EXPECT_TRUE(eventually([leader] { return !exists(leader); }));
  server_pid();  // it has told that before
  job.run->kill();
  held.set_value();
  job.sink->wait();
  EXPECT_TRUE(eventually([left] { return !exists(left); }));
}

// The kernel ends it, if it has not done so.
bool is_ending(pid_t pid) {
  constexpr unsigned kExiting = 4;  // PF_EXITING of the kernel
  const std::string stat = text_of_file("/proc/" + std::to_string(pid) + "/stat");
  unsigned flags = kExiting;
  const auto name = stat.rfind(')');
  if (name != std::string::npos) {
    std::sscanf(stat.c_str() + name, ") %*c %*d %*d %*d %*d %*d %u", &flags);
  }
  return (flags & kExiting) != 0;
}

// The host's clock and the server's have the same time to wait, and either may be first.
TEST_F(ExecTest, WhatAProgramLeftIsKilledBeforeItsEndIsTold) {
  Host& host = shell("sleep 1000 & echo $!");
  host.limits.drain_grace = std::chrono::milliseconds(1);
  for (int i = 0; i < 50; ++i) {
    const Outcome out = host.run("program");
    ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    ASSERT_TRUE(is_ending(static_cast<pid_t>(std::stol(out.result)))) << i;
  }
}

TEST_F(ExecTest, TheServerDiesWhileOutputOfAGrandchildIsWaitedFor) {
  Host& host = shell(kLeaves);
  host.limits.drain_grace = 10 * kPatience;
  const auto job = drained(host);
  ::kill(server_pid(), SIGKILL);
  host.start("program");  // has another channel: nobody keeps the last
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result, "7");
  ::kill(server_pid(), SIGKILL);
}

TEST_F(ExecTest, TheServerDies_TheEndIsToldOnceTheKeeperHasEndedWhatIsLeft) {
  Host& host = shell("sleep 1000 & echo log ready >&3; sleep 1000");
  const auto job = host.start("program");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  EXPECT_FALSE(told_too_early(host, job));
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWorkerLost);
}

TEST_F(ExecTest, ManyAtOnceWithFewDescriptorsEachAndNoMoreThreads) {
  // While they start, the host has what they are given, too.
  const DescriptorLimit limit(0, 8 * kMany + 100);
  if (!limit.missing().empty()) GTEST_SKIP() << limit.missing();
  Host& host = exec_host({hostile("deaf"), "1000000"});
  const auto threads = threads_of(getpid());
  const auto descriptors = open_descriptors(getpid());
  const auto jobs = host.start_many("program", kMany);
  const pid_t server = server_pid();
  EXPECT_TRUE(eventually([&] { return children_of(server).size() == kMany; }));
  EXPECT_EQ(threads_of(getpid()), threads);
#ifdef __SANITIZE_THREAD__
  EXPECT_EQ(threads_of(server), 2U);  // the sanitizer's, too
#else
  EXPECT_EQ(threads_of(server), 1U);
#endif
  EXPECT_LE(open_descriptors(getpid()), descriptors + 4 * kMany);
  for (const auto& job : jobs) job.run->kill();
  for (const auto& job : jobs) {
    const Outcome out = job.sink->wait();
    EXPECT_EQ(out.klass, OutcomeClass::kCancelled) << out.error.message;
  }
}

}  // namespace
}  // namespace carrel::test
