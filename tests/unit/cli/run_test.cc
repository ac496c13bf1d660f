// run, and enqueue --wait beside it: jobs that are programs of the configuration.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "../machine.h"
#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Run : public Command {
 protected:
  Run() {
    configure(R"(
[worker]
poll = "20ms"
beat = "20ms"
grace = "5s"
[defaults]
isolation = "exec"
retry = { base = "1h", power = 0, cap = "1h" }
[jobs.echo]
command = ["/bin/sh", "-c", "cat"]
[jobs.fail]
command = ["/bin/sh", "-c", "echo broken >&2; exit 3"]
[jobs.sleep]
stop_grace = "10ms"
command = ["/bin/sh", "-c", "echo 'progress 0.25 asleep' >&3; exec sleep 60"]
[jobs.deaf]
stop_grace = "10ms"
term_grace = "10ms"
command = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 60; done"]
[jobs.leave]
command = ["/bin/sh", "-c", "sleep 60 >/dev/null 2>&1 3>&1 & exit 0"]
)");
  }

  // Waits until the job says how far it is; false: it cannot be seen, or has ended.
  bool begins(const std::string& id) {
    while (true) {
      const Json job = show(id);
      if (!job.is_object() || !job["ended"].is_null()) return false;
      if (!job["progress"].is_null()) return true;
    }
  }
};

TEST_F(Run, DrainRunsWhatIsDueAndReturns) {
  carrel({"enqueue", "echo", R"({"n":1})"});
  carrel({"enqueue", "echo", "--delay", "1h"});
  const Said said = carrel({"run", "--drain"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("1 completed, 0 failed"));
  EXPECT_THAT(said.err, HasSubstr("job 1 echo completed"));
  EXPECT_EQ(show("1")["state"], "completed");
  EXPECT_EQ(show("2")["state"], "scheduled");
  EXPECT_EQ(carrel({"show", "1", "--result"}).out, "{\"n\":1}\n");
}

TEST_F(Run, AJobThatFailsIsCodeOneAndSaysWhy) {
  carrel({"enqueue", "fail"});
  const Said said = carrel({"run", "--drain", "--json"});
  EXPECT_EQ(said.code, 1) << said.err;
  const auto events = said.json();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]["class"], "exit_nonzero");
  EXPECT_EQ(events[0]["state"], "retryable");
  EXPECT_EQ(events[1], (Json{{"completed", 0}, {"failed", 1}, {"cancelled", 0}}));
  EXPECT_THAT(carrel({"show", "1"}).out, AllOf(HasSubstr("exit 3"), HasSubstr("broken")));
  EXPECT_EQ(carrel({"show", "1", "--result"}).code, 5) << "it has no result yet";
}

TEST_F(Run, AnAttemptTellsHowItWasEnded) {
  carrel({"enqueue", "deaf", "--timeout", "200ms", "--max-attempts", "1"});
  carrel({"enqueue", "leave"});
  const Said said = carrel({"run", "--drain"});
  EXPECT_EQ(said.code, 1) << said.err;
  const Json killed = show("1")["attempts"].at(0);
  EXPECT_EQ(killed["class"], "wall_timeout");
  EXPECT_EQ(killed["rung"], "kill");
  EXPECT_EQ(killed["signal"], SIGKILL);
  EXPECT_FALSE(killed.contains("leftover_killed"));
  EXPECT_THAT(carrel({"show", "1"}).out, HasSubstr("was sent SIGKILL"));
  const Json left = show("2")["attempts"].at(0);
  EXPECT_EQ(left["class"], "ok");
  EXPECT_EQ(left["leftover_killed"], true);
  EXPECT_FALSE(left.contains("rung"));
  EXPECT_THAT(carrel({"show", "2"}).out, HasSubstr("left processes behind"));
}

TEST_F(Run, AnAttemptTellsWhatItsSandboxEnforced) {
  configure(R"(
[jobs.boxed]
isolation = "exec"
sandbox = "restricted"
max_attempts = 1
command = ["/bin/sh", "-c", "exit 3"]
)");
  carrel({"enqueue", "boxed"});
  const Said said = carrel({"run", "--drain"});
  if (said.err.find("sandbox_unavailable") != std::string::npos) {
    ASSERT_FALSE(test::has_landlock()) << said.err;
    GTEST_SKIP() << said.err;
  }
  EXPECT_EQ(said.code, 1) << said.err;
  const Json attempt = show("1")["attempts"].at(0);
  EXPECT_EQ(attempt["class"], "exit_nonzero") << attempt;
  EXPECT_THAT(attempt["enforced"].get<std::vector<std::string>>(),
              testing::IsSupersetOf({"seccomp", "no_new_privs"}));
  EXPECT_THAT(carrel({"show", "1"}).out, HasSubstr("seccomp, "));
}

// It is text: whoever reads it back would call itself once a level.
TEST_F(Run, AProgramThatPrintsNestedJsonHarmsNobodyWhoLooksAtIt) {
  configure(R"(
[jobs.nests]
isolation = "exec"
command = ["/bin/sh", "-c", "head -c 300000 /dev/zero | tr '\\0' '['; head -c 300000 /dev/zero | tr '\\0' ']'"]
)");
  carrel({"enqueue", "nests"});
  EXPECT_EQ(carrel({"run", "--drain"}).code, 0);
  for (const std::vector<std::string>& look : std::vector<std::vector<std::string>>{
           {"show", "1"}, {"show", "1", "--json"}, {"list", "--json"}, {"export"}}) {
    EXPECT_EQ(carrel(look).code, 0) << look.front();
  }
  EXPECT_TRUE(show("1")["result"].is_string());
}

// The process server and its keeper, which would fork another.
TEST_F(Run, AJobThatKillsWhatStartsJobsHarmsNoOther) {
  configure(R"(
[jobs.kills]
isolation = "exec"
max_attempts = 1
command = ["/bin/sh", "-c", "kill -9 $(sed -n 's/^PPid:[^0-9]*//p' /proc/$PPID/status) $PPID"]
[jobs.echo]
isolation = "exec"
max_attempts = 1
command = ["/bin/sh", "-c", "cat"]
)");
  Running worker({"run"}, folder_, "");
  const Said killed = carrel({"enqueue", "kills", "--wait-at-most", "60s"});
  EXPECT_EQ(killed.code, 1) << killed.err;
  EXPECT_EQ(show("1")["attempts"].at(0)["class"], "worker_lost");
  const Said said = carrel({"enqueue", "echo", "7", "--wait-at-most", "60s"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(said.out, "7\n");
}

TEST_F(Run, APausedQueueIsLeftAlone) {
  carrel({"enqueue", "echo"});
  carrel({"pause", "default"});
  EXPECT_EQ(carrel({"run", "--drain"}).code, 0);
  EXPECT_EQ(show("1")["state"], "available");
  carrel({"resume", "default"});
  EXPECT_EQ(carrel({"run", "--drain"}).code, 0);
  EXPECT_EQ(show("1")["state"], "completed");
}

// A name that was mistyped is said at once, and wherever somebody looks for the job.
TEST_F(Run, AKindThatNobodyHereKnowsIsSeenToWait) {
  const Said enqueued = carrel({"enqueue", "ecko"});
  EXPECT_EQ(enqueued.code, 0);
  EXPECT_THAT(enqueued.err, HasSubstr("kind \"ecko\" is not in the configuration"));
  const Said echo = carrel({"enqueue", "echo"});
  EXPECT_EQ(echo.err, "");
  const char* const line = "1 job waits for a worker that knows its kind: ecko";
  EXPECT_THAT(carrel({"status"}).out, HasSubstr(line));
  EXPECT_EQ(carrel({"status", "--json"}).json()[0]["unhandled_kinds"], Json({"ecko"}));
  const Said said = carrel({"run", "--drain"});
  EXPECT_EQ(said.code, 0);
  EXPECT_THAT(said.out, HasSubstr("1 completed"));
  EXPECT_THAT(said.err, HasSubstr(line));
}

TEST_F(Run, WhoWaitsForAJobOfAPausedQueueIsTold) {
  carrel({"pause", "default"});
  const Said said = carrel({"enqueue", "echo", "--wait-at-most", "300ms"});
  EXPECT_EQ(said.code, 5);
  EXPECT_THAT(said.err, HasSubstr("available, and its queue default is paused"));
}

TEST_F(Run, OnlyTheQueuesAskedForAreServed) {
  carrel({"enqueue", "echo", "--queue", "a"});
  carrel({"enqueue", "echo", "--queue", "b"});
  EXPECT_EQ(carrel({"run", "--drain", "--queue", "b"}).code, 0);
  EXPECT_EQ(show("1")["state"], "available");
  EXPECT_EQ(show("2")["state"], "completed");
}

// The configuration of CONFIG.md, of which this worker serves a part.
TEST_F(Run, WhatIsSaidOfQueuesNotAskedForIsNoMistake) {
  const std::string programs =
      "[jobs.echo]\nisolation = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"cat\"]\n";
  for (const std::string queues :
       {"order = \"strict\"\n[queues.report]\nconcurrency = 1\nlimit = 3\n",
        "order = \"weighted\"\n[queues.pull]\nweight = 2\n[queues.push]\nweight = 3\n"}) {
    configure("[worker]\nqueues = [\"pull\", \"push\", \"report\"]\n" + queues +
              programs);
    carrel({"enqueue", "echo", "--queue", "pull"});
    carrel({"enqueue", "echo", "--queue", "report"});
    const Said said = carrel({"run", "--drain", "--queue", "pull"});
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_THAT(said.out, HasSubstr("1 completed"));
    EXPECT_EQ(carrel({"run", "--drain", "--queue", "report"}).code, 0);
  }
  const Said twice = carrel({"run", "--drain", "--queue", "pull", "--queue", "pull"});
  EXPECT_EQ(twice.code, 2);
  EXPECT_EQ(twice.err, "carrel: --queue: worker.queues: \"pull\" is listed twice\n");
}

TEST_F(Run, WaitPrintsTheResultOfAnotherProcess) {
  Running worker({"run", "--json"}, folder_, "");
  const Said said = carrel({"enqueue", "echo", "[1,2]", "--wait-at-most", "60s"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(said.out, "[1,2]\n");
  const Said record = carrel({"enqueue", "echo", "7", "--wait", "--json"});
  EXPECT_EQ(record.json()[0]["result"], 7);
  const Said failed = carrel({"enqueue", "fail", "--max-attempts", "1", "--wait"});
  EXPECT_EQ(failed.code, 1) << failed.err;
  EXPECT_THAT(failed.err, HasSubstr("job 3 failed: "));
  worker.signal(SIGTERM);
  EXPECT_EQ(worker.finish().code, 0);
}

TEST_F(Run, OfAJobThatIsNotKeptOnlyTheEndIsKnown) {
  configure(R"(
[retention]
completed = "0s"
[jobs.echo]
isolation = "exec"
command = ["/bin/sh", "-c", "cat"]
)");
  Running worker({"run", "--json"}, folder_, "");
  const Said said = carrel({"enqueue", "echo", "1", "--wait"});
  EXPECT_EQ(said.code, 3);
  EXPECT_THAT(said.err, HasSubstr("job 1 ended, but is not kept (retention)"));
  const Said json = carrel({"enqueue", "echo", "1", "--wait", "--json"});
  EXPECT_EQ(json.code, 3);
  ASSERT_EQ(json.json().size(), 1U);
  EXPECT_EQ(json.json()[0]["id"], 2);
  EXPECT_EQ(json.json()[0]["state"], nullptr);
  worker.signal(SIGTERM);
  EXPECT_EQ(worker.finish().code, 0);
}

TEST_F(Run, AHangUpIsAStopThatSaysForWhatItWaits) {
  configure(R"(
[worker]
grace = "1m"
[jobs.until]
isolation = "exec"
term_grace = "1m"
command = ["/bin/sh", "-c", "trap 'touch told' TERM; echo 'progress 0.1 waits' >&3; until [ -e go ]; do sleep 0.01; done"]
)");
  carrel({"enqueue", "until"});
  Running worker({"run"}, folder_, "");
  ASSERT_TRUE(begins("1"));
  worker.signal(SIGHUP);
  ASSERT_TRUE(worker.hear("carrel: stopping: waits up to 1m for 1 job\n"));
  // Before it has heard of the stop its end would be one of its own.
  while (!std::filesystem::exists(folder_ / "told")) std::this_thread::yield();
  std::ofstream(folder_ / "go").close();
  const Said said = worker.finish();
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(show("1")["attempt"], 0) << "a stop costs no attempt";
}

TEST_F(Run, ASecondSignalEndsIt) {
  for (const bool drain : {false, true}) {
    carrel({"enqueue", "deaf"});
    configure(R"(
[worker]
grace = "1m"
[jobs.deaf]
isolation = "exec"
stop_grace = "1m"
command = ["/bin/sh", "-c", "trap '' TERM; echo 'progress 0.1 deaf' >&3; while :; do sleep 60; done"]
)");
    Running worker(drain ? std::vector<std::string>{"run", "--drain"}
                         : std::vector<std::string>{"run"},
                   folder_, "");
    ASSERT_TRUE(begins(drain ? "2" : "1"));
    worker.signal(SIGTERM);
    ASSERT_TRUE(worker.hear("carrel: stopping: waits up to 1m for 1 job\n"));
    worker.signal(SIGINT);
    EXPECT_EQ(worker.finish().code, 128 + SIGINT);
  }
}

TEST_F(Run, AHangUpThatWhoStartedItIgnoresIsIgnored) {
  Running worker({"-c", "trap '' HUP; exec carrel run --json"}, folder_, "", "/bin/sh");
  ASSERT_EQ(carrel({"enqueue", "echo", "--wait-at-most", "60s"}).code, 0) << "it runs";
  worker.signal(SIGHUP);
  EXPECT_EQ(carrel({"enqueue", "echo", "--wait-at-most", "60s"}).code, 0);
  worker.signal(SIGTERM);
  EXPECT_EQ(worker.finish().code, 0);
}

TEST_F(Run, AWorkingFolderThatIsMissingIsNamed) {
  configure("[jobs.k]\nisolation = \"exec\"\ncommand = [\"true\"]\ncwd = \"nowhere\"\n");
  carrel({"enqueue", "k", "--max-attempts", "1"});
  EXPECT_EQ(carrel({"run", "--drain"}).code, 1);
  EXPECT_THAT(show("1")["attempts"].at(0)["message"].get<std::string>(),
              testing::ContainsRegex("the working folder of true, .*nowhere, cannot be"));
}

TEST_F(Run, AStopReleasesWhatRunsAndLeavesNothingRunning) {
  carrel({"enqueue", "echo"});
  carrel({"enqueue", "sleep", "--priority", "1"});
  Running worker({"run", "--json", "--concurrency", "1"}, folder_, "");
  ASSERT_TRUE(worker.read_until("\"completed\""));
  // The one slot is free: the next job is what it takes.
  ASSERT_TRUE(begins("2"));
  EXPECT_EQ(show("2")["state"], "running");
  EXPECT_THAT(carrel({"list"}).out, HasSubstr("25 % asleep"));
  worker.signal(SIGINT);
  const Said said = worker.finish();
  EXPECT_EQ(said.code, 0) << said.err;
  const Json job = show("2");
  EXPECT_EQ(job["state"], "available");
  EXPECT_EQ(job["attempt"], 0) << "a stop costs no attempt";
}

TEST_F(Run, AnInterruptedDrainReleasesWhatRunsAndSaysWhatItDid) {
  carrel({"enqueue", "echo"});
  carrel({"enqueue", "sleep", "--priority", "1"});
  carrel({"enqueue", "echo", "--priority", "2"});
  Running worker({"run", "--drain", "--json", "--concurrency", "1"}, folder_, "");
  ASSERT_TRUE(begins("2"));
  worker.signal(SIGINT);
  const Said said = worker.finish();
  EXPECT_EQ(said.code, 6) << said.err;
  EXPECT_EQ(said.json().back(),
            (Json{{"completed", 1}, {"failed", 0}, {"cancelled", 0}}));
  EXPECT_EQ(show("2")["state"], "available");
  EXPECT_EQ(show("2")["attempt"], 0) << "a stop costs no attempt";
  EXPECT_EQ(show("3")["attempt"], 0);
}

TEST_F(Run, CancelReachesAJobThatRunsElsewhere) {
  carrel({"enqueue", "sleep"});
  Running worker({"run", "--json"}, folder_, "");
  ASSERT_TRUE(begins("1"));
  EXPECT_EQ(carrel({"cancel", "1", "--json"}).json()[0]["cancel"], "requested");
  ASSERT_TRUE(worker.read_until("\"cancelled\""));
  EXPECT_EQ(show("1")["state"], "cancelled");
  worker.signal(SIGTERM);
  EXPECT_EQ(worker.finish().code, 0);
}

}  // namespace
}  // namespace carrel::cli_test
