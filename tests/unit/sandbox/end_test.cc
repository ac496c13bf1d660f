// Programs that do not want to end, and what is left of them: nothing.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "other_host.h"
#include "sandbox_test.h"

namespace carrel::test {
namespace {

using SandboxEnd = SandboxTest;

TEST_F(SandboxEnd, Case34_ExponentialBomb_WallTimeoutNoneLeft) {
  REQUIRE_SANDBOX(profile);
  profile.nproc = 200;
  const auto job = start({"/hostile/bomb"});
  job.sink->wait_until([](const Recorder& r) { return r.logged("lit"); });
  job.run->request_stop(StopReason::kTimeout);
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout) << out.error.message;
  EXPECT_GT(out.usage.cpu.count(), 0) << "it was accounted for, although it was killed";
  expect_control_job();
}

// The first process of a namespace takes all others with it: where the sandboxes are
// gone, so are the bombs.
TEST_F(SandboxEnd, Case36_HostKilledMidBomb_NoneLeft) {
  REQUIRE_SANDBOX(profile);
  OtherHost host("bomb");
  ASSERT_EQ(host.read_line(), "lit");
  const pid_t server = static_cast<pid_t>(std::stol(host.read_line()));
  const auto rooms = children_of(server);
  ASSERT_FALSE(rooms.empty());
  std::vector<pid_t> boxes;
  for (const pid_t room : rooms) {
    for (const pid_t box : children_of(room)) boxes.push_back(box);
  }
  ASSERT_FALSE(boxes.empty());
  host.kill();
  for (const auto& group : {rooms, boxes}) {
    for (const pid_t pid : group) {
      EXPECT_TRUE(eventually([pid] { return !exists(pid); })) << pid;
    }
  }
  EXPECT_TRUE(eventually([server] { return !exists(server); }));
  expect_control_job();
}

TEST_F(SandboxEnd, RoomKilled_WorkerLostAndMadeAgain) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  ASSERT_TRUE(eventually([server] { return children_of(server).empty(); }));
  const auto job = start({"/hostile/deaf", "1000000"});
  const auto rooms = children_of(server);
  ASSERT_EQ(rooms.size(), 1U);
  const pid_t room = rooms[0];
  std::vector<pid_t> boxes;
  ASSERT_TRUE(eventually([&] {
    boxes = children_of(room);
    return !boxes.empty();
  }));
  ::kill(room, SIGKILL);
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWorkerLost);
  for (const pid_t box : boxes) {
    EXPECT_TRUE(eventually([box] { return !exists(box); }));
  }
  expect_control_job();
}

TEST_F(SandboxEnd, Case46_ClosesItsDescriptorsAndRunsOn_WallTimeout) {
  REQUIRE_SANDBOX(profile);
  const auto job = start({"/hostile/close_stdio"});
  job.run->request_stop(StopReason::kTimeout);
  job.run->kill();
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWallTimeout);
  expect_control_job();
}

TEST_F(SandboxEnd, Case47_IgnoresEverything_KilledAfterTheGrace) {
  REQUIRE_SANDBOX(profile);
  const auto job = start({"/hostile/ignore_all"});
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->request_stop(StopReason::kTimeout);
  job.run->terminate();
  EXPECT_FALSE(job.sink->ended());
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(out.signal, SIGKILL);
  expect_control_job();
}

TEST_F(SandboxEnd, AStopRequestIsTermToTheProgramAndThenToAll) {
  REQUIRE_SANDBOX(profile);
  const auto job = start({"sh", "-c",
                          "trap 'echo heard >&2' TERM; (trap - TERM; echo log ready >&3; "
                          "exec sleep 1000); wait; exit 3"});
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  job.run->request_stop(StopReason::kTimeout);
  job.run->terminate();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout);
  EXPECT_TRUE(job.sink->logged("heard"));
}

TEST_F(SandboxEnd, Case48_GrandchildOrDaemon_DeadAtOnce) {
  REQUIRE_SANDBOX(profile);
  for (const char* how : {"group", "session", "zombie"}) {
    const Outcome out = hostile_run("grandchild", {how});
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(out.result, "\"left\"");
    EXPECT_TRUE(out.leftover_killed) << how;
  }
  EXPECT_FALSE(hostile_run("count_input").leftover_killed);
}

TEST_F(SandboxEnd, Case65_StackOverflowAbort_SignaledNoCore) {
  REQUIRE_SANDBOX(profile);
  profile.files_out = {"core"};
  const Outcome overflow = hostile_run("overflow");
  EXPECT_EQ(overflow.klass, OutcomeClass::kSignaled);
  EXPECT_EQ(overflow.signal, SIGSEGV);
  const Outcome aborted = hostile_run("abort");
  EXPECT_EQ(aborted.klass, OutcomeClass::kSignaled);
  EXPECT_EQ(aborted.signal, SIGABRT);
  const Outcome here = run({"sh", "-c", "/hostile/abort; ls -A"});
  EXPECT_EQ(Json::parse(here.result)["output"], Json()) << here.result;
}

}  // namespace
}  // namespace carrel::test
