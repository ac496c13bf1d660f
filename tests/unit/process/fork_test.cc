// What a handler in a forked child can rely on, and how its ends are told.
#include <unistd.h>

#include <csignal>
#include <thread>

#include "handlers.h"
#include "process_test.h"

namespace carrel::test {
namespace {

using ForkTest = ProcessTest;

TEST_F(ForkTest, TheHandlerSeesItsJob) {
  fork_host().limits.wall = std::chrono::hours(1);
  const Outcome out = fork_host().run("who");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  const Json job = Json::parse(out.result);
  EXPECT_EQ(job["id"], 7);
  EXPECT_EQ(job["fence"], 3);
  EXPECT_EQ(job["queue"], "default");
  EXPECT_EQ(job["kind"], "who");
  EXPECT_EQ(job["attempt"], 2);
  EXPECT_EQ(job["checkpoint"], "before");
  EXPECT_EQ(job["timed"], true);
  EXPECT_NE(job["pid"], getpid());
  EXPECT_EQ(job["pid"], job["session"]);
  EXPECT_GT(out.usage.max_rss_bytes, 0U);
  EXPECT_GT(out.usage.wall.count(), 0);
}

TEST_F(ForkTest, ArgumentsOfAnySizeArrive) {
  for (const std::size_t size : {0U, 100U, 15'000U, 17'000U, 3'000'000U}) {
    const Json text = std::string(size, 'p');
    fork_host().limits.result_bytes = 4 << 20;
    const Outcome out = fork_host().run("echo", text.dump());
    ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_TRUE(out.result == text.dump()) << size;
  }
}

TEST_F(ForkTest, ANullResultIsNothing) {
  EXPECT_EQ(fork_host().run("nothing").result, "");
}

TEST_F(ForkTest, ProgressLogAndCheckpointArriveInOrder) {
  const auto job = fork_host().start("report");
  ASSERT_EQ(job.sink->wait().klass, OutcomeClass::kOk);
  ASSERT_EQ(job.sink->progress.size(), 2U);
  EXPECT_FLOAT_EQ(job.sink->progress[0].fraction, 0.25F);
  EXPECT_EQ(job.sink->progress[0].message, "a quarter");
  EXPECT_FLOAT_EQ(job.sink->progress[1].fraction, 1.0F);
  EXPECT_EQ(job.sink->log, std::vector<std::string>{"a line"});
  EXPECT_EQ(job.sink->checkpoints, std::vector<std::string>{"here"});
}

TEST_F(ForkTest, ATightLoopOfProgressCostsLittleAndItsLastWordArrives) {
  const auto job = fork_host().start("chatter");
  const Outcome out = job.sink->wait();
  ASSERT_EQ(out.klass, OutcomeClass::kOk);
  // A burst, then ten a second, and the last.
  const auto seconds = static_cast<std::size_t>(out.usage.wall / std::chrono::seconds(1));
  EXPECT_LE(job.sink->progress.size(), 18 + 10 * (seconds + 1));
  EXPECT_FLOAT_EQ(job.sink->progress.back().fraction, 1.0F);
}

TEST_F(ForkTest, TheLastOfABurstOfProgressIsToldBeforeTheEnd) {
  const auto job = fork_host().start("burst");
  job.sink->wait_until([](const Recorder& seen) {
    return !seen.progress.empty() && seen.progress.back().message == "100";
  });
  EXPECT_FALSE(job.sink->ended());
  job.run->request_stop(StopReason::kCancel);
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kOk) << "it hears of a stop as before";
}

TEST_F(ForkTest, Case06_Throw_TypedError) {
  const Outcome thrown = fork_host().run("throw");
  EXPECT_EQ(thrown.klass, OutcomeClass::kFailed);
  EXPECT_EQ(thrown.error.code, Code::kFailed);
  EXPECT_EQ(thrown.error.message, "no good");
  EXPECT_EQ(fork_host().run("throw_int").klass, OutcomeClass::kFailed);

  const Outcome answered = fork_host().run("error");
  EXPECT_EQ(answered.klass, OutcomeClass::kFailed);
  EXPECT_EQ(answered.error.code, Code::kNotFound);
  EXPECT_EQ(answered.error.message, "no such user");
  EXPECT_EQ(answered.error.origin, "ldap");
  EXPECT_EQ(answered.error.native, 32);
  EXPECT_EQ(answered.error.retry_in, Duration(std::chrono::seconds(9)));

  const Outcome snoozed = fork_host().run("snooze");
  EXPECT_EQ(snoozed.klass, OutcomeClass::kSnoozed);
  EXPECT_EQ(snoozed.error.retry_in, Duration(std::chrono::minutes(5)));
  EXPECT_EQ(fork_host().run("discard").klass, OutcomeClass::kDiscarded);
}

TEST_F(ForkTest, Case07_Result200KB_Ok) {
  const Outcome out = fork_host().run("big", "200000");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result.size(), 200'002U);
}

TEST_F(ForkTest, ResultLargerThanAnySocketBufferIsOk) {
  fork_host().limits.result_bytes = 64 << 20;
  const Outcome out = fork_host().run("big", "20000000");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result.size(), 20'000'002U);
}

TEST_F(ForkTest, ResultPastItsLimitFailsForGood) {
  fork_host().limits.result_bytes = 1000;
  EXPECT_EQ(fork_host().run("big", "998").klass, OutcomeClass::kOk);
  const Outcome out = fork_host().run("big", "999");
  EXPECT_EQ(out.klass, OutcomeClass::kDiscarded);
  EXPECT_EQ(out.error.code, Code::kTooLarge);
}

TEST_F(ForkTest, Case08_AbortSegv_CrashedSignal) {
  const Outcome aborted = fork_host().run("abort");
  EXPECT_EQ(aborted.klass, OutcomeClass::kCrashed);
  EXPECT_EQ(aborted.signal, SIGABRT);
  const Outcome faulted = fork_host().run("segv");
  EXPECT_EQ(faulted.klass, OutcomeClass::kCrashed);
  EXPECT_EQ(faulted.signal, SIGSEGV);
  EXPECT_NE(faulted.error.message.find("signal 11"), std::string::npos)
      << faulted.error.message;
}

TEST_F(ForkTest, Case13_LeakedMemory_HostAndServerStayFlat) {
  fork_host().run("nothing");
  const auto before = resident_bytes_of(getpid());
  const pid_t server = server_pid();
  const auto server_before = resident_bytes_of(server);
  for (int i = 0; i < 20; ++i) {
    const Outcome out = fork_host().run("leak", "500000000");
    ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_GE(out.usage.max_rss_bytes, 495'000'000U);
  }
  EXPECT_LT(resident_bytes_of(getpid()), before + (32U << 20));
  EXPECT_LT(resident_bytes_of(server), server_before + (32U << 20));
}

TEST_F(ForkTest, Case18_GrandchildHoldsTheSocket_BackAtOnceAndItIsDead) {
  const Outcome out = fork_host().run("grandchild");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_TRUE(out.leftover_killed);
  EXPECT_FALSE(fork_host().run("nothing").leftover_killed);
  const auto pid = static_cast<pid_t>(std::stol(out.result));
  EXPECT_TRUE(eventually([&] { return !exists(pid); }));
}

TEST_F(ForkTest, Case19_DoubleForkDaemon_Dead) {
  const Outcome out = fork_host().run("daemon");
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  const auto pid = static_cast<pid_t>(std::stol(out.result));
  EXPECT_TRUE(eventually([&] { return !exists(pid); }));
}

TEST_F(ForkTest, ManyAtOnceWithOneDescriptorEachAndNoMoreThreads) {
  const DescriptorLimit limit(0, kMany + 100);
  if (!limit.missing().empty()) GTEST_SKIP() << limit.missing();
  fork_host().run("nothing");
  const auto threads = threads_of(getpid());
  const auto descriptors = open_descriptors(getpid());
  const auto jobs = fork_host().start_many("sleep", kMany);
  for (const auto& job : jobs) {
    job.sink->wait_until(
        [](const Recorder& r) { return r.logged("ready") || r.ends > 0; });
  }
  EXPECT_EQ(threads_of(getpid()), threads);
  EXPECT_LE(open_descriptors(getpid()), descriptors + kMany + 2);  // two are idle
  for (const auto& job : jobs) job.run->kill();
  for (const auto& job : jobs)
    EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kCancelled);
}

}  // namespace
}  // namespace carrel::test
