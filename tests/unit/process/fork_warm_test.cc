// Children that wait for a job, and children that run more than one.
#include <gmock/gmock.h>
#include <sched.h>

#include <algorithm>
#include <csignal>
#include <set>

#include "process_test.h"
#include "wire.h"

namespace carrel::test {
namespace {

class ForkWarmTest : public ProcessTest {
 protected:
  void SetUp() override {
    ProcessTest::SetUp();
    server_ = server_pid();
    ASSERT_TRUE(eventually([&] { return idle().empty(); }));
    Host none("fork", {}, 0);
    none.settle();
    without_ = open_descriptors(getpid());
  }
  std::vector<pid_t> idle() const { return children_of(server_); }
  // Until there are so many.
  std::vector<pid_t> idle(std::size_t count) const {
    std::vector<pid_t> now;
    EXPECT_TRUE(eventually([&] { return (now = idle()).size() == count; })) << now.size();
    return now;
  }
  // The only child of a host that keeps one, once the host has heard of it: it has one
  // descriptor more than a host that keeps none.
  pid_t heard_of(Host& host) const {
    EXPECT_TRUE(eventually([&] { return open_descriptors(getpid()) == without_ + 1; }));
    host.settle();  // the descriptor is there a little before the child is
    return idle(1).at(0);
  }
  static pid_t pid_of(const Outcome& out) {
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    return static_cast<pid_t>(std::stol(out.result));
  }
  static KindSpec recycled(const char* kind, std::uint16_t jobs,
                           std::uint64_t memory = 64 << 20) {
    KindSpec spec;
    spec.kind = kind;
    spec.recycle = jobs;
    spec.recycle_memory = memory;
    return spec;
  }

 private:
  pid_t server_ = -1;
  std::size_t without_ = 0;
};

TEST_F(ForkWarmTest, AJobRunsInAChildThatWasThereBefore) {
  Host host("fork", {}, 3);
  for (int i = 0; i < 10; ++i) {
    // They are replaced a few at a time.
    EXPECT_TRUE(eventually([&] { return idle().size() >= 2; }));
    const auto waiting = idle();
    const pid_t pid = pid_of(host.run("pid"));
    EXPECT_EQ(std::count(waiting.begin(), waiting.end(), pid), 1) << pid;
    EXPECT_TRUE(eventually([&] {  // else it would count as one that is idle
      const auto left = idle();
      return std::count(left.begin(), left.end(), pid) == 0;
    }));
  }
}

TEST_F(ForkWarmTest, OneChildForOneJob) {
  Host host("fork", {}, 2);
  std::set<pid_t> pids;
  for (int i = 0; i < 20; ++i) pids.insert(pid_of(host.run("pid")));
  EXPECT_EQ(pids.size(), 20U);
}

TEST_F(ForkWarmTest, WithNoneAChildIsForkedForEachJobAndNoneStays) {
  Host host("fork", {}, 0);
  pid_of(host.run("pid"));
  EXPECT_TRUE(idle(0).empty());
}

TEST_F(ForkWarmTest, AfterABurstThereAreAboutAsManyAsBefore) {
  Host host("fork", {}, 4);
  for (const auto& job : host.start_many("nothing", 100)) {
    EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kOk);
  }
  EXPECT_TRUE(eventually([&] { return idle().size() >= 2 && idle().size() <= 4; }))
      << idle().size();
}

// Its end is not waited for: this one would never come.
TEST_F(ForkWarmTest, AJobIsOverWhenItsChildHasSaidAllAndTheChildEnds) {
  Host host("fork", {}, 1);
  const pid_t pid = pid_of(host.run("done_and_stays"));
  EXPECT_TRUE(eventually([&] { return !exists(pid); }));
}

// What is left of a job's children is killed before its end is told.
TEST_F(ForkWarmTest, TheEndOfAJobThatHadChildrenIsWaitedFor) {
  Host host("fork", {}, 1);
  for (const char* how : {"\"left\"", "\"waited\"", "\"ignored\""}) {
    EXPECT_FALSE(exists(pid_of(host.run("had_child", how)))) << how;
  }
}

TEST_F(ForkWarmTest, IdleChildrenEndWithTheirEngine) {
  {
    Host host("fork", {}, 5);
    idle(5);
  }
  EXPECT_TRUE(idle(0).empty());
}

// A helper that the host has forked, and that executes nothing, has copies of its
// sockets.
TEST_F(ForkWarmTest, IdleChildrenEndWithTheirEngine_WhoeverHasCopiesOfItsSockets) {
  auto host = std::make_unique<Host>("fork", std::vector<KindSpec>{}, 3);
  idle(3);
  const auto job = host->start("sleep");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->abandon();
  const Copies copies;
  host.reset();
  EXPECT_TRUE(idle(0).empty());
}

TEST_F(ForkWarmTest, AnIdleChildThatDiesIsReplaced) {
  Host host("fork", {}, 2);
  const auto before = idle(2);
  for (const pid_t pid : before) kill(pid, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    const auto now = idle();
    return now.size() >= 1 && std::count(now.begin(), now.end(), before[0]) == 0 &&
           std::count(now.begin(), now.end(), before[1]) == 0;
  }));
  pid_of(host.run("pid"));
}

TEST_F(ForkWarmTest, AJobWhoseChildDiesBeforeItBeginsRunsInAnotherAndIsToldOnce) {
  Host host("fork", {}, 1);
  for (int i = 0; i < 20; ++i) {
    const pid_t waiting = heard_of(host);
    kill(waiting, SIGSTOP);
    const auto job = host.start("pid");
    kill(waiting, SIGKILL);
    const pid_t ran = pid_of(job.sink->wait());
    EXPECT_NE(ran, waiting);
    host.settle();
    EXPECT_EQ(job.sink->ends, 1);
    EXPECT_TRUE(eventually([&] { return !exists(ran); }));  // it is not the idle one
  }
}

// Nobody has heard of the child's end yet.
TEST_F(ForkWarmTest, AJobWhoseChildHasDiedBeforeItIsSentRunsInAnotherAndIsToldOnce) {
  Host host("fork", {}, 1);
  for (int i = 0; i < 20; ++i) {
    const pid_t waiting = heard_of(host);
    auto go_on = host.hold();
    kill(waiting, SIGKILL);
    EXPECT_TRUE(eventually([&] { return !exists(waiting); }));
    const auto job = host.start("pid");
    go_on.set_value();
    const pid_t ran = pid_of(job.sink->wait());
    EXPECT_NE(ran, waiting);
    host.settle();
    EXPECT_EQ(job.sink->ends, 1);
    EXPECT_TRUE(eventually([&] { return !exists(ran); }));  // it is not the idle one
  }
}

TEST_F(ForkWarmTest, AJobWhoseChildHasDiedBeforeItIsSentCanBeStopped) {
  Host host("fork", {}, 1);
  const pid_t waiting = heard_of(host);
  auto go_on = host.hold();
  kill(waiting, SIGKILL);
  EXPECT_TRUE(eventually([&] { return !exists(waiting); }));
  const auto job = host.start("pid");
  job.run->request_stop(StopReason::kTimeout);
  go_on.set_value();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.error.code, Code::kTimeout);
}

TEST_F(ForkWarmTest, AJobThatIsKilledBeforeItBeginsIsNotRunElsewhere) {
  Host host("fork", {}, 1);
  const pid_t waiting = heard_of(host);
  kill(waiting, SIGSTOP);
  const auto job = host.start("pid");
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kCancelled);
  EXPECT_EQ(out.signal, SIGKILL);
}

TEST_F(ForkWarmTest, AJobWhoseChildIsNotBornYetCanBeStoppedOrKilled) {
  Host host("fork", {}, 0);
  const pid_t server = server_pid();
  kill(server, SIGSTOP);
  // It hears of all three at once, and of the kill before it has forked the second.
  const auto jobs = host.start_many("pid", 3);
  jobs[1].run->request_stop(StopReason::kTimeout);
  jobs[2].run->kill();
  host.settle();
  kill(server, SIGCONT);
  pid_of(jobs[0].sink->wait());
  EXPECT_EQ(jobs[1].sink->wait().klass, OutcomeClass::kWallTimeout);
  const Outcome killed = jobs[2].sink->wait();
  EXPECT_EQ(killed.klass, OutcomeClass::kCancelled);
  EXPECT_EQ(killed.signal, SIGKILL);
}

// The server hears of no more than it can have forked soon; others wait in the host.
TEST_F(ForkWarmTest, BehindManyUnbornChildrenAJobIsStoppedOrKilledAtOnce) {
  Host host("fork", {}, 0);
  const pid_t server = server_pid();
  kill(server, SIGSTOP);
  auto jobs = host.start_many("pid", 300);
  jobs[298].run->request_stop(StopReason::kTimeout);
  jobs[299].run->kill();
  const Outcome stopped = jobs[298].sink->wait();
  EXPECT_EQ(stopped.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(stopped.error.code, Code::kTimeout);
  EXPECT_EQ(jobs[299].sink->wait().klass, OutcomeClass::kCancelled);
  // These are asked for: the server is told, and hears of it before it has forked them.
  jobs[126].run->kill();
  host.settle();
  kill(server, SIGCONT);
  const Outcome killed = jobs[126].sink->wait();
  EXPECT_EQ(killed.klass, OutcomeClass::kCancelled);
  EXPECT_EQ(killed.signal, SIGKILL);
  for (std::size_t i = 0; i < 298; ++i) {
    if (i != 126) pid_of(jobs[i].sink->wait());
  }
}

// Its child may run another job after it, which one that was signalled may not.
TEST_F(ForkWarmTest, AJobThatIsAskedToStopAsItGetsAChildIsAskedAndNotKilled) {
  Host host("fork", {recycled("used_until_stopped", 100, 4ULL << 30)}, 0);
  const auto start = [&](const char* kind) {
    auto job = host.start(kind);
    pid_t pid = 0;
    job.sink->wait_until([&](const Recorder& r) {
      if (!r.log.empty()) pid = static_cast<pid_t>(std::stol(r.log[0]));
      return pid != 0;
    });
    return std::pair(std::move(job), pid);
  };
  const auto [first, first_pid] = start("until_stopped");
  const auto [second, child] = start("used_until_stopped");
  const pid_t server = server_pid();
  kill(server, SIGSTOP);
  const auto unborn = host.start_many("nothing", process::kMostUnborn - 2);
  const auto third = host.start("used_until_stopped");  // the first in line
  first.sink->then = [&] { third.run->request_stop(StopReason::kTimeout); };
  kill(child, SIGSTOP);
  first.run->request_stop(StopReason::kCancel);
  second.run->request_stop(StopReason::kCancel);
  host.settle();
  // The reactor finds both ends, in this order; the second gives the third its child.
  auto go_on = host.hold();
  EXPECT_TRUE(eventually([&, pid = first_pid] { return !exists(pid); }));
  kill(child, SIGCONT);
  EXPECT_TRUE(eventually([&, pid = child] { return sleeps(pid); }));
  go_on.set_value();
  EXPECT_EQ(third.sink->wait().signal, 0);
  kill(server, SIGCONT);
  const auto [fourth, its_child] = start("used_until_stopped");
  EXPECT_EQ(its_child, child);
  fourth.run->request_stop(StopReason::kCancel);
  fourth.sink->wait();
  for (const auto& job : unborn) job.sink->wait();
}

TEST_F(ForkWarmTest, WhatAHostThatIsGoneHadAskedForIsNotForked) {
  const pid_t server = server_pid();
  const auto before = std::stol(Host("fork", {}, 0).run("births").result);
  kill(server, SIGSTOP);
  { const Host gone("fork", {}, 100); }
  // The server hears of this one later.
  Host host("fork", {}, 0);
  const auto counted = host.start("births");
  kill(server, SIGCONT);
  EXPECT_EQ(counted.sink->wait().result, std::to_string(before + 1));
}

TEST_F(ForkWarmTest, ALargeJobThatIsStoppedBeforeItsChildReadsItDoesNotBegin) {
  Host host("fork", {}, 0);
  const pid_t server = server_pid();
  kill(server, SIGSTOP);
  const auto job = host.start("pid", Json(std::string(100'000, 'x')).dump());
  job.run->request_stop(StopReason::kTimeout);
  host.settle();
  kill(server, SIGCONT);
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.error.code, Code::kTimeout);
  EXPECT_THAT(out.error.message, testing::HasSubstr("before it began"));
}

TEST_F(ForkWarmTest, HooksRunInTheServerAndInEachChild) {
  Host host("fork", {}, 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(host.run("hooks").result, "[true,true]");
}

TEST_F(ForkWarmTest, AChildRunsAsManyJobsAsItsKindSays) {
  // No bound on what it grows by: a sanitizer's own memory counts, too.
  Host host("fork", {recycled("pid", 3, 4ULL << 30)}, 1);
  std::vector<pid_t> pids;
  for (int i = 0; i < 9; ++i) pids.push_back(pid_of(host.run("pid")));
  for (int i = 0; i < 9; ++i) EXPECT_EQ(pids[i], pids[i / 3 * 3]) << i;
  EXPECT_EQ(std::set<pid_t>(pids.begin(), pids.end()).size(), 3U);
}

TEST_F(ForkWarmTest, AChildOfManyJobsIsScheduledAsABatch) {
  EXPECT_EQ(Host("fork", {}, 1).run("policy").result, std::to_string(SCHED_OTHER));
  Host host("fork", {recycled("policy", 100)}, 1);
  EXPECT_EQ(host.run("policy").result, std::to_string(SCHED_BATCH));
}

TEST_F(ForkWarmTest, WhereItsServerIsNotScheduledAsUsualNorIsAChildOfManyJobs) {
  if (geteuid() != 0) GTEST_SKIP() << "CAP_SYS_NICE: nobody else leaves SCHED_IDLE";
  const pid_t server = server_pid();
  const sched_param none{};
  ASSERT_EQ(sched_setscheduler(server, SCHED_IDLE, &none), 0);
  Host host("fork", {recycled("policy", 100)}, 1);
  const Outcome out = host.run("policy");
  EXPECT_EQ(sched_setscheduler(server, SCHED_OTHER, &none), 0);
  EXPECT_EQ(out.result, std::to_string(SCHED_IDLE));
}

TEST_F(ForkWarmTest, AUsedChildRunsNoOtherKind) {
  Host host("fork",
            {recycled("pid", 100, 4ULL << 30), recycled("other_pid", 100, 4ULL << 30)},
            1);
  const pid_t one = pid_of(host.run("pid"));
  const pid_t other = pid_of(host.run("other_pid"));
  EXPECT_NE(one, other);
  EXPECT_NE(pid_of(host.run("parent")), one);
  EXPECT_EQ(pid_of(host.run("pid")), one);
  EXPECT_EQ(pid_of(host.run("other_pid")), other);
}

TEST_F(ForkWarmTest, AChildThatHasGrownPastItsBoundIsNotUsedAgain) {
  Host host("fork", {recycled("leak", 100, 16 << 20), recycled("pid", 100)}, 1);
  // Each leaks a third of the bound: the third or fourth job is a child's last.
  std::set<std::uint64_t> peaks;
  for (int i = 0; i < 12; ++i) {
    const Outcome out = host.run("leak", "6000000");
    ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    peaks.insert(out.usage.max_rss_bytes);
  }
  EXPECT_LT(*peaks.rbegin(), *peaks.begin() + (32U << 20));
}

TEST_F(ForkWarmTest, AUsedChildThatWaitsTooLongEnds) {
  Host host("fork", {recycled("pid", 100)}, 0);
  const pid_t pid = pid_of(host.run("pid"));
  EXPECT_TRUE(eventually([&] { return !exists(pid); }));
  EXPECT_NE(pid_of(host.run("pid")), pid);
}

// It was told to end, and hears nothing.
TEST_F(ForkWarmTest, AUsedChildThatWaitsTooLongAndDoesNotEndIsKilled) {
  Host host("fork", {recycled("pid", 100)}, 0);
  const pid_t pid = pid_of(host.run("pid"));
  kill(pid, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return !exists(pid); }));
}

TEST_F(ForkWarmTest, ProgressTokensAndErrorsWorkInAUsedChild) {
  Host host("fork", {recycled("wait_token", 100), recycled("report", 100)}, 1);
  for (int i = 0; i < 5; ++i) {
    const auto job = host.start("wait_token");
    job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
    job.run->request_stop(StopReason::kTimeout);
    EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWallTimeout);
    const auto report = host.start("report");
    EXPECT_EQ(report.sink->wait().klass, OutcomeClass::kOk);
    EXPECT_EQ(report.sink->checkpoints.size(), 1U);
  }
}

// Who listened for the one job's stop takes nothing of what comes for the next.
TEST_F(ForkWarmTest, AJobThatTookATokenLeavesTheNextJobWhole) {
  Host host("fork", {recycled("take_token", 1000)}, 1);
  const std::string payload = Json(std::string(2000, 'x')).dump();
  std::vector<Started> jobs;  // most of them wait in the line for a used child
  for (int i = 0; i < 2000; ++i) jobs.push_back(host.start("take_token", payload));
  for (const auto& job : jobs) {
    const Outcome out = job.sink->wait();
    ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    ASSERT_EQ(out.result, payload);
  }
}

TEST_F(ForkWarmTest, AUsedChildThatCrashesCostsItsOwnJobOnly) {
  Host host("fork", {recycled("abort", 100), recycled("pid", 100)}, 1);
  const pid_t pid = pid_of(host.run("pid"));
  EXPECT_EQ(host.run("abort").klass, OutcomeClass::kCrashed);
  EXPECT_EQ(host.run("abort").signal, SIGABRT);
  EXPECT_EQ(pid_of(host.run("pid")), pid);
  kill(pid, SIGKILL);  // while it waits
  EXPECT_NE(pid_of(host.run("pid")), pid);
}

TEST_F(ForkWarmTest, AChildThatWasSignalledIsNotUsedAgain) {
  Host host("fork", {recycled("survive_term", 100)}, 1);
  const auto job = host.start("survive_term");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->terminate();
  const pid_t pid = pid_of(job.sink->wait());
  EXPECT_TRUE(eventually([&] { return !exists(pid); }));
}

}  // namespace
}  // namespace carrel::test
