// Programs that flood, hide, linger and ignore: the cases that hold without a sandbox.
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "process_test.h"

namespace carrel::test {
namespace {

using ExecHostileTest = ProcessTest;

TEST_F(ExecHostileTest, Case45_StdoutFlood_OutputLimit) {
  const auto before = resident_bytes_of(getpid());
  const Outcome out = exec_host({hostile("flood"), "1"}).run("program");
  EXPECT_EQ(out.klass, OutcomeClass::kOutputLimit);
  EXPECT_EQ(out.error.code, Code::kTooLarge);
  EXPECT_EQ(out.result, "");
  EXPECT_LT(resident_bytes_of(getpid()), before + (64U << 20));
}

// Only the tail of stderr is kept, so a flood costs time and no memory; the ladder ends
// it.
TEST_F(ExecHostileTest, Case45_StderrFlood_BoundedMemory) {
  class Counter final : public RunSink {
   public:
    void on_progress(float, std::string_view) noexcept override {}
    void on_checkpoint(std::string_view) noexcept override {}
    void on_log(std::string_view) noexcept override { ++lines; }
    void on_end(Outcome outcome) noexcept override {
      tail = outcome.stderr_tail.size();
      ended = true;
    }
    std::atomic<int> lines{0};
    std::atomic<std::size_t> tail{0};
    std::atomic<bool> ended{false};
  };
  Host& host = exec_host({hostile("flood"), "2"});
  const auto before = resident_bytes_of(getpid());
  auto sink = std::make_shared<Counter>();
  auto job = std::make_shared<Claimed>();
  job->kind = "program";
  Task tasks[] = {{job, {}, sink}};
  auto run = host.isolation().start(tasks).at(0).value();
  EXPECT_TRUE(eventually([&] { return sink->lines > 20'000; }));
  run->request_stop(StopReason::kTimeout);
  run->kill();
  EXPECT_TRUE(eventually([&] { return sink->ended.load(); }));
  EXPECT_LE(sink->tail.load(), 4096U);
  EXPECT_LT(resident_bytes_of(getpid()), before + (32U << 20));
}

TEST_F(ExecHostileTest, Case46_ClosesItsDescriptorsAndRunsOn_WallTimeout) {
  const auto job = exec_host({hostile("close_stdio")}).start("program");
  ASSERT_TRUE(eventually([server = server_pid()] {
    const auto children = children_of(server);
    return children.size() == 1 && open_descriptors(children[0]) == 0;
  }));
  EXPECT_FALSE(job.sink->ended()) << "the end of its pipes is not its end";
  job.run->request_stop(StopReason::kTimeout);
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWallTimeout);
}

TEST_F(ExecHostileTest, Case47_IgnoresEverything_Killed) {
  const auto job = exec_host({hostile("ignore_all")}).start("program");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->request_stop(StopReason::kTimeout);
  job.run->terminate();
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.signal, SIGKILL);
}

TEST_F(ExecHostileTest, Case48_GrandchildOrDaemon_DeadWithinTheDrainGrace) {
  for (const char* how : {"group", "session"}) {
    Host& host = exec_host({hostile("grandchild"), how});
    const Outcome out = host.run("program");
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(out.result, "\"left\"");
    // One that has left its session by then could be anybody's.
    EXPECT_TRUE(out.leftover_killed || how == std::string("session"));
    // The server's list of children is empty: TearDown asserts the same.
    EXPECT_TRUE(eventually([server = server_pid()] {
      return children_of(server).empty();
    })) << how;
  }
}

TEST_F(ExecHostileTest, WhatAnEndedProgramLeftDiesWhileOthersRun) {
  const auto other = exec_host({hostile("deaf"), "1000000"}).start("program");
  Host second("exec", {program("left", {hostile("grandchild"), "session"})});
  EXPECT_EQ(second.run("left").klass, OutcomeClass::kOk);
  const pid_t server = server_pid();
  EXPECT_TRUE(eventually([&] { return children_of(server).size() == 1; }));
  EXPECT_FALSE(other.sink->ended());
  other.run->kill();
  other.sink->wait();
}

// A helper that its own parent left, in the session of a job that still runs.
TEST_F(ExecHostileTest, AHelperInTheBackgroundOfARunningProgramIsLeftAlone) {
  const auto job =
      exec_host(
          {"sh", "-c", "(sleep 1000 & echo $! >&3 ); echo log ready >&3; read x; exit 0"})
          .start("program", std::string(1 << 20, ' '));
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  const pid_t server = server_pid();  // other jobs end meanwhile: the server looks around
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(server_pid(), server);
    EXPECT_TRUE(eventually([&] { return children_of(server).size() == 2; })) << i;
  }
  job.run->kill();
  job.sink->wait();
}

TEST_F(ExecHostileTest, Case64_LargeInputReadOrIgnored_NoGrowthInTheHost) {
  REQUIRE_ROOM_FOR_LARGE_INPUT();
  const auto before = memory_in_use();
  for (const char* name : {"count_input", "deaf"}) {
    std::string payload(kLargeInput, 'x');
    const Growth growth;
    const Outcome out = exec_host({hostile(name), "20"})
                            .start("program", std::move(payload))
                            .sink->wait(4 * kPatience);
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(out.result, name == std::string("deaf") ? "" : std::to_string(kLargeInput));
    EXPECT_LT(growth.most(), 64U << 20) << name;
    close_hosts();
    EXPECT_LT(memory_in_use(), before + (32U << 20)) << name;
  }
}

TEST_F(ExecHostileTest, Case65_StackOverflowAbort_Signaled) {
  const Outcome overflow = exec_host({hostile("overflow")}).run("program");
  EXPECT_EQ(overflow.klass, OutcomeClass::kSignaled);
  EXPECT_EQ(overflow.signal, SIGSEGV);
  const Outcome aborted = exec_host({hostile("abort")}).run("program");
  EXPECT_EQ(aborted.klass, OutcomeClass::kSignaled);
  EXPECT_EQ(aborted.signal, SIGABRT);
}

}  // namespace
}  // namespace carrel::test
