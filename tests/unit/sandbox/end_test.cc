// Programs that do not want to end, and what is left of them: nothing.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "other_host.h"
#include "sandbox_test.h"

namespace carrel::test {
namespace {

using SandboxEnd = SandboxTest;

// The only room there is, whose `warm` boxes have nothing to do yet.
struct WarmRoom {
  WarmRoom(KindSpec kind, const SandboxProfile& profile, std::uint64_t warm) {
    const pid_t server = server_pid();
    EXPECT_TRUE(eventually([server] { return children_of(server).empty(); }));
    kind.sandbox = profile;
    kind.sandbox->warm = warm;
    host = std::make_unique<Host>("exec", std::vector<KindSpec>{kind});
    EXPECT_TRUE(eventually([&] {
      const auto rooms = children_of(server);
      pid = rooms.empty() ? -1 : rooms[0];
      return pid > 0 && boxes().size() == warm && sleeps(pid);
    }));
  }
  std::vector<pid_t> boxes() const { return children_of(pid); }

  std::unique_ptr<Host> host;
  pid_t pid = -1;  // none
};

TEST_F(SandboxEnd, Case34_ExponentialBomb_WallTimeoutNoneLeft) {
  REQUIRE_SANDBOX(profile);
  profile.nproc = 200;
  const pid_t server = server_pid();
  const auto job = start({"/hostile/bomb"});
  ASSERT_TRUE(eventually([server] { return programs_below(server).size() >= kCrowd; }));
  job.run->request_stop(StopReason::kTimeout);
  job.run->kill();
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kWallTimeout) << out.error.message;
  EXPECT_TRUE(programs_below(server).empty()) << "at its end, not at its room's";
  EXPECT_GT(out.usage.cpu.count(), 0) << "it was accounted for, although it was killed";
  expect_control_job();
}

// Processes of the hostile program "bomb" whose user a sandbox of this process has.
std::size_t bombs() {
  const unsigned user = geteuid() == 0 ? kSandboxed : geteuid();
  std::size_t count = 0;
  std::error_code ended;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    struct stat process {};
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (stat(entry.path().c_str(), &process) != 0 || process.st_uid != user) continue;
    count += text_of_file(entry.path() / "comm") == "bomb\n" && exists(std::stoi(pid));
  }
  return count;
}

TEST_P(SandboxTiers, Case36_HostKilledMidBomb_NoneLeft) {
  REQUIRE_SANDBOX(profile);
  const auto place = shared_folder() / "tmp";
  std::filesystem::create_directory(place);
  setenv("TMPDIR", place.c_str(), 1);
  OtherHost host(
      restricted()
          ? "bomb " + std::filesystem::path(program_path("bomb")).parent_path().string()
          : "bomb");
  unsetenv("TMPDIR");
  ASSERT_EQ(host.read_line(), "lit");
  EXPECT_GE(bombs(), kCrowd / 2);
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
  EXPECT_TRUE(eventually([] { return bombs() == 0; })) << bombs();
  host.wait_for_all();
  EXPECT_TRUE(std::filesystem::is_empty(place));
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

// What a root of its own is put together from is a descriptor each.
TEST_F(SandboxEnd, RoomWithoutDescriptors_IsToldAsThat) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  std::size_t refused = 0;
  // The server's own fill these numbers.
  for (rlim_t most = 6;; ++most) {
    const DescriptorLimit limit(server, most);
    const auto lack = lacking(profile);
    if (!lack) break;
    ++refused;
    EXPECT_EQ(lack->find("No such file"), std::string::npos) << most << ": " << *lack;
  }
  EXPECT_GT(refused, 0U);
}

// The room hears of their ends and of the job at once.
TEST_F(SandboxEnd, IdleBoxesKilledAsAJobComes_AnotherIsMadeForIt) {
  REQUIRE_SANDBOX(profile);
  spec.command = {"/hostile/deaf", "0"};
  WarmRoom room(spec, profile, 2);
  ASSERT_GT(room.pid, 0);
  ::kill(room.pid, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return state_of(room.pid) == 'T'; }));
  for (const pid_t box : room.boxes()) {
    ::kill(box, SIGKILL);
    EXPECT_TRUE(eventually([box] { return !exists(box); }));
  }
  const auto job = room.host->start("program");
  room.host->settle();  // it is on its way
  ::kill(room.pid, SIGCONT);
  const Outcome out = job.sink->wait();
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
}

// One that is made takes a processor from the program that has just begun.
TEST_F(SandboxEnd, WhileProgramsRun_HalfOfThemAreMadeAhead) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  spec.command = {"/hostile/deaf", "1000000"};
  WarmRoom room(spec, profile, 4);
  ASSERT_GT(room.pid, 0);
  const auto boxes = [&room] { return room.boxes().size(); };
  std::vector<Started> jobs;
  for (std::size_t running = 1; running <= 4; ++running) {
    jobs.push_back(room.host->start("program"));
    // Of those that wait, as many as ran are no longer among them; two are left, or made.
    const std::size_t expected = std::max<std::size_t>(4, running + 2);
    ASSERT_TRUE(eventually([&] {
      return programs_below(server).size() == running && boxes() == expected &&
             sleeps(room.pid);
    })) << running
        << " run: " << boxes() << " boxes";
  }
  for (const auto& job : jobs) job.run->kill();
  for (const auto& job : jobs) job.sink->wait();
  EXPECT_TRUE(eventually([&] { return boxes() == 4; }));
}

// Nobody makes another room just now: jobs wait, and can be stopped.
TEST_F(SandboxEnd, RoomKilledAndTheServerBusy_AJobWaitsForAnotherRoom) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  ASSERT_TRUE(eventually([server] { return children_of(server).empty(); }));
  spec = program("program", {"/hostile/deaf", "1000000"});
  spec.sandbox = profile;
  Host host("exec", {spec});
  const auto job = host.start("program");
  const pid_t room = children_of(server).at(0);
  ::kill(room, SIGKILL);
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWorkerLost);
  ::kill(server, SIGSTOP);
  const auto stopped = host.start("program");
  const auto killed = host.start("program");
  stopped.run->request_stop(StopReason::kTimeout);
  killed.run->kill();
  EXPECT_EQ(stopped.sink->wait().klass, OutcomeClass::kWallTimeout);
  EXPECT_EQ(killed.sink->wait().klass, OutcomeClass::kCancelled);
  const auto waits = host.start("program");
  ::kill(server, SIGCONT);
  EXPECT_TRUE(eventually([server] { return !programs_below(server).empty(); }));
  waits.run->request_stop(StopReason::kCancel);
  EXPECT_EQ(waits.sink->wait().klass, OutcomeClass::kCancelled);
}

TEST_F(SandboxEnd, ARoomEndsWithItsEngine_WhoeverHasCopiesOfItsSocket) {
  REQUIRE_SANDBOX(profile);
  const pid_t server = server_pid();
  ASSERT_TRUE(eventually([server] { return children_of(server).empty(); }));
  spec = program("program", {"/bin/true"});
  spec.sandbox = profile;
  auto host = std::make_unique<Host>("exec", std::vector<KindSpec>{spec});
  EXPECT_EQ(host->run("program").klass, OutcomeClass::kOk);
  const Copies copies;
  host.reset();
  EXPECT_TRUE(eventually([server] { return children_of(server).empty(); }));
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

}  // namespace
}  // namespace carrel::test
