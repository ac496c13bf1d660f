// The tier with a control group of its own, as far as this machine delegates any.
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "groups.h"
#include "other_host.h"
#include "sandbox_test.h"

namespace carrel::test {
namespace {

class SandboxGroup : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    profile.tier = SandboxTier::kFull;
    profile.allow_missing = {"memory_cgroup", "pids_cgroup", "cpu_cgroup"};
    std::ifstream mounts("/proc/self/mounts");
    std::string device, place, type, rest;
    while (mounts >> device >> place >> type && std::getline(mounts, rest)) {
      if (type == "cgroup2") parent_ = place;
    }
    // One of this process's own, so that others do not count.
    parent_ /= "test-" + std::to_string(getpid());
    std::error_code refused;  // then there is none, and the case is skipped
    std::filesystem::create_directory(parent_, refused);
    profile.cgroup_parent = parent_;
  }
  void TearDown() override {
    SandboxTest::TearDown();
    EXPECT_TRUE(eventually([this] {
      std::error_code error;
      return !std::filesystem::exists(parent_) || std::filesystem::remove(parent_, error);
    })) << "groups are left";
  }
  // A job that does not end, and the only room there is; -1: there are others.
  std::pair<Started, pid_t> start_alone() {
    const pid_t server = server_pid();
    EXPECT_TRUE(eventually([&] { return children_of(server).empty() && groups() == 0; }));
    Started job = start({"/hostile/deaf", "1000000"});
    const auto rooms = children_of(server);
    return {std::move(job), rooms.size() == 1 ? rooms[0] : -1};
  }
  std::size_t groups() const {
    std::size_t count = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(parent_, error)) {
      count += entry.path().filename().string().starts_with("carrel-");
    }
    return count;
  }
  std::filesystem::path parent_;
};

TEST_F(SandboxGroup, CpuTimeIsThatOfAllItsProcessesAndNoGroupIsLeft) {
  REQUIRE_SANDBOX(profile);
  ASSERT_TRUE(eventually([&] { return groups() == 0; }));
  const Outcome out = run({"sh", "-c", "sh -c ':' & wait"});
  ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_GT(out.usage.cpu.count(), 0);
  EXPECT_NE(std::find(out.enforced->begin(), out.enforced->end(), "cgroup"),
            out.enforced->end());
  EXPECT_EQ(groups(), 1U) << "the room's own";
  expect_control_job();
}

TEST_F(SandboxGroup, Case38_TwentyTimesFortyMB_MemoryLimit) {
  profile.allow_missing = {"pids_cgroup", "cpu_cgroup"};
  profile.memory = 200U << 20;
  if (const auto lack = lacking(profile)) {
    const std::string controllers = text_of_file(parent_ / "cgroup.controllers");
    if (controllers.find("memory") != std::string::npos) FAIL() << *lack;
    GTEST_SKIP() << *lack;
  }
  const Outcome out = hostile_run("memory_crowd");
  EXPECT_EQ(out.klass, OutcomeClass::kMemoryLimit) << out.error.message;
  expect_control_job();
}

TEST_F(SandboxGroup, RoomKilled_ItsGroupsAreRemoved) {
  REQUIRE_SANDBOX(profile);
  const auto [job, room] = start_alone();
  ASSERT_GT(room, 0);
  ::kill(room, SIGKILL);
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWorkerLost);
  EXPECT_TRUE(eventually([&] { return groups() == 0; }));
}

// The server has its children as soon as it ends; that it waits for it is another step,
// which a tracer puts off.
TEST_F(SandboxGroup, RoomThatEndedAndIsNotWaitedFor_WhatCleansUpAfterItLives) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  const auto [job, room] = start_alone();
  ASSERT_GT(room, 0);
  pid_t janitor = -1;
  for (const pid_t pid : children_of(room)) {
    const std::string name = text_of_file("/proc/" + std::to_string(pid) + "/comm");
    if (name.starts_with("carrel-janitor")) janitor = pid;
  }
  ASSERT_GT(janitor, 0);
  if (ptrace(PTRACE_SEIZE, room, nullptr, nullptr) != 0) {
    GTEST_SKIP() << "ptrace: " << strerror(errno);
  }
  ::kill(janitor, SIGSTOP);
  ::kill(room, SIGKILL);
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWorkerLost);
  ASSERT_TRUE(eventually([&] { return parent_of(janitor) == server; }));
  server_pid();  // a child of the server, whose end it sees to
  EXPECT_TRUE(eventually([&] { return children_of(server).size() <= 2; }));
  EXPECT_TRUE(exists(janitor));
  EXPECT_EQ(waitpid(room, nullptr, __WALL), room);
  ::kill(janitor, SIGCONT);
  EXPECT_TRUE(eventually([&] { return groups() == 0; }));
}

// What cleans up after a room is killed with it then.
TEST_F(SandboxGroup, ServerKilled_TheNextRoomRemovesTheGroupsOfTheLast) {
  REQUIRE_SANDBOX(profile);
  ASSERT_TRUE(eventually([&] { return groups() == 0; }));
  const auto job = start({"/hostile/deaf", "1000000"});
  ::kill(server_pid(), SIGKILL);
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWorkerLost);
  const Outcome out = run({"true"});
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(groups(), 1U) << "the room's own";
}

TEST_F(SandboxGroup, HostEndsTogetherWithItsEngine_ItsGroupsAreRemoved) {
  REQUIRE_SANDBOX(profile);
  ASSERT_TRUE(eventually([&] { return groups() == 0; }));
  OtherHost host("full:" + parent_.string());
  ASSERT_EQ(host.read_line(), "ready");
  EXPECT_EQ(groups(), 1U);
  host.go_on();
  host.wait_for_all();
  EXPECT_EQ(groups(), 0U);
}

// A room that is killed while what cleans up after it is held up, so that another sweeps
// its groups away and takes their name.
class SandboxJanitor : public SandboxGroup {
 protected:
  void SetUp() override {
    SandboxGroup::SetUp();
    REQUIRE_SANDBOX(profile);
    ASSERT_TRUE(eventually([&] { return groups() == 0; }));
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t room = fork();
    if (room == 0) {
      sandbox::Plan plan;
      plan.cgroup = sandbox::Want::kMust;
      sandbox::Groups own;
      if (own.open(plan, parent_, geteuid()).stage == process::Reply::Stage::kNone)
        pause();
      _exit(1);
    }
    ASSERT_TRUE(eventually([&] { return children_of(room).size() == 1; }));
    janitor_ = children_of(room)[0];
    ASSERT_TRUE(eventually([&] {  // it has nothing left to do
      return sleeps(room) && sleeps(janitor_);
    }));
    for (const auto& entry : std::filesystem::directory_iterator(parent_)) {
      if (entry.path().filename().string().starts_with("carrel-")) folder_ = entry.path();
    }
    kill(janitor_, SIGSTOP);
    kill(room, SIGKILL);
    waitpid(room, nullptr, 0);
    ASSERT_TRUE(std::filesystem::remove(folder_ / "room"));
    ASSERT_TRUE(std::filesystem::remove(folder_));
    ASSERT_TRUE(std::filesystem::create_directory(folder_));
  }
  void TearDown() override {
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    SandboxGroup::TearDown();
  }
  void let_it_end() const {
    kill(janitor_, SIGCONT);
    EXPECT_EQ(waitpid(janitor_, nullptr, 0), janitor_);
  }
  std::filesystem::path folder_;  // another room's by now

 private:
  pid_t janitor_ = -1;
};

TEST_F(SandboxJanitor, EndsNothingInAnotherRoomOfTheName) {
  const pid_t other = fork();
  if (other == 0) {
    for (;;) pause();
  }
  std::filesystem::create_directory(folder_ / "box");
  std::ofstream procs(folder_ / "box" / "cgroup.procs");
  EXPECT_TRUE(procs << other << std::flush) << "it is in no group that could be ended";
  procs.close();
  let_it_end();
  EXPECT_TRUE(exists(other));
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
  EXPECT_TRUE(std::filesystem::remove(folder_ / "box"));
  EXPECT_TRUE(std::filesystem::remove(folder_));
}

TEST_F(SandboxJanitor, LeavesTheFolderOfAnotherRoomOfTheName) {
  let_it_end();
  EXPECT_TRUE(std::filesystem::exists(folder_));
  EXPECT_TRUE(std::filesystem::remove(folder_));
}

TEST_F(SandboxGroup, AParentThatIsNoGroup_SandboxUnavailable) {
  profile.cgroup_parent = "/tmp";
  const auto lack = lacking(profile);
  ASSERT_TRUE(lack);
  EXPECT_NE(lack->find("sandbox_unavailable: cgroup, /tmp"), std::string::npos) << *lack;
  profile.allow_missing.push_back("cgroup");
  const auto without = lacking(profile);
  if (without) {
    EXPECT_EQ(without->find("cgroup"), std::string::npos) << *without;
  }
}

}  // namespace
}  // namespace carrel::test
