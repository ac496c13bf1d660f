// Stopping: the token, TERM, KILL, and children that heed none of the first two.
#include <csignal>
#include <thread>

#include "handlers.h"
#include "process_test.h"

namespace carrel::test {
namespace {

class ForkSignalTest : public ProcessTest {
 protected:
  Started ready(const char* kind) {
    auto job = fork_host().start(kind);
    job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
    return job;
  }
  // Which that handler says in the first line of its log.
  static pid_t pid_that_logs(const Started& job) {
    job.sink->wait_until([](const Recorder& r) { return !r.log.empty(); });
    return static_cast<pid_t>(std::stol(job.sink->log.at(0)));
  }
};

TEST_F(ForkSignalTest, AStopRequestReachesTheLoopAndTheToken) {
  const auto loop = ready("wait_stop");
  loop.run->request_stop(StopReason::kTimeout);
  EXPECT_EQ(loop.sink->wait().klass, OutcomeClass::kOk)
      << "a result is a result, stop or no stop";

  const auto timed = ready("wait_token");
  timed.run->request_stop(StopReason::kTimeout);
  const Outcome out = timed.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.error.message, "told to stop");

  for (const auto reason : {StopReason::kCancel, StopReason::kShutdown}) {
    const auto job = ready("wait_token");
    job.run->request_stop(reason);
    EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kCancelled);
  }
}

TEST_F(ForkSignalTest, AStopRequestBeforeTheHandlerRunsIsNotLost) {
  for (int i = 0; i < 20; ++i) {
    const auto job = fork_host().start(i % 2 == 0 ? "wait_stop" : "wait_token");
    job.run->request_stop(StopReason::kCancel);
    job.sink->wait();
  }
}

TEST_F(ForkSignalTest, SignalsRightAfterTheStartEndTheJob) {
  for (int i = 0; i < 20; ++i) {
    const auto job = fork_host().start("sleep");
    i % 2 == 0 ? job.run->kill() : job.run->terminate();
    const Outcome out = job.sink->wait();
    EXPECT_EQ(out.klass, OutcomeClass::kCancelled);
    // None where it had no process yet.
    if (out.signal != 0) {
      EXPECT_EQ(out.signal, i % 2 == 0 ? SIGKILL : SIGTERM);
    }
  }
}

TEST_F(ForkSignalTest, Case14_IgnoresTerm_KilledAfterGrace) {
  const auto job = ready("ignore_term");
  job.run->request_stop(StopReason::kTimeout);
  EXPECT_TRUE(job.run->terminate());
  job.sink->wait_until([](const Recorder& r) { return r.logged("TERM"); });
  EXPECT_FALSE(job.sink->ended());
  EXPECT_TRUE(job.run->kill());
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.signal, SIGKILL);
  EXPECT_EQ(out.error.code, Code::kTimeout);
}

// The server was forked with SIGTERM blocked, too: see main.cc.
TEST_F(ForkSignalTest, Case15_StartedFromAThreadWithTermBlocked_TermWorks) {
  Host& host = fork_host();
  Started job;
  std::thread([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    job = host.start("sleep");
  }).join();
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->terminate();
  EXPECT_EQ(job.sink->wait().signal, SIGTERM);
}

TEST_F(ForkSignalTest, Case16_StopsItself_Killed) {
  const auto job = fork_host().start("stop_self");
  const pid_t pid = pid_that_logs(job);
  ASSERT_TRUE(eventually([pid] { return state_of(pid) == 'T'; }));
  job.run->request_stop(StopReason::kTimeout);
  job.run->terminate();
  EXPECT_EQ(state_of(pid), 'T') << "it hears nothing of that";
  EXPECT_FALSE(job.sink->ended());
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.signal, SIGKILL);
}

TEST_F(ForkSignalTest, Case17_LeaderGoneOtherThreadSpins_Killed) {
  const auto job = fork_host().start("leader_gone");
  const pid_t pid = pid_that_logs(job);
  ASSERT_TRUE(eventually([pid] { return state_of(pid) == 'Z'; }));
  // More where a sanitizer has threads of its own.
  EXPECT_GE(threads_of(pid), 2U) << "a dead leader, and who spins";
  job.run->request_stop(StopReason::kCancel);
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kCancelled);
  EXPECT_EQ(out.signal, SIGKILL);
}

TEST_F(ForkSignalTest, EveryCallAfterTheEndDoesNothing) {
  const auto job = fork_host().start("nothing");
  job.sink->wait();
  job.run->request_stop(StopReason::kCancel);
  job.run->terminate();
  job.run->kill();
  job.run->abandon();
  close_hosts();
  job.run->kill();
  EXPECT_EQ(job.sink->ends, 1);
}

TEST_F(ForkSignalTest, AnAbandonedRunIsNotHeardOfAgain) {
  fork_host(0);
  const auto job = ready("sleep");
  job.run->abandon();
  job.run->kill();
  ASSERT_TRUE(
      eventually([server = server_pid()] { return children_of(server).empty(); }));
  fork_host().settle();
  EXPECT_EQ(job.sink->ends, 0);
}

}  // namespace
}  // namespace carrel::test
