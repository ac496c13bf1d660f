// Standard streams that are closed, full, or read by nobody, and signals on the way.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "command.h"

namespace carrel::cli_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Streams : public Command {
 protected:
  std::size_t jobs() { return carrel({"export"}).lines().size(); }
};

TEST_F(Streams, WhatIsPrintedDoesNotGetIntoAFileOfTheStore) {
  ASSERT_EQ(carrel({"enqueue", "k"}).code, 0);
  const Said error = shell("carrel show 99 2>&-; echo $?");
  EXPECT_EQ(error.out, "3\n");
  const Said output = shell("carrel export >&-; echo $?");
  EXPECT_EQ(output.out, "4\n") << "nobody got it";
  EXPECT_THAT(output.err, HasSubstr("cannot write to standard output"));
  EXPECT_EQ(shell("carrel list <&- >&- 2>&-; echo $?").out, "4\n");
  EXPECT_EQ(shell("carrel --version >&-; echo $?").out, "4\n");
  EXPECT_EQ(std::filesystem::file_size(folder_ / "jobs.db-gate"), 0U);
  EXPECT_EQ(shell("grep -a -c 'no job\\|cannot write' jobs.db").out, "0\n");
}

TEST_F(Streams, LinesWhoseIdsNobodyReadsAreCounted) {
  const Said said = shell("seq 20000 | carrel enqueue k --lines | head -1");
  EXPECT_EQ(said.out, "1\n");
  EXPECT_THAT(said.err, AllOf(HasSubstr(" jobs were enqueued; those from line "),
                              HasSubstr("cannot write to standard output")));
  const std::size_t stored = jobs();
  EXPECT_LT(stored, 20'000U);
  EXPECT_THAT(said.err, HasSubstr("from line " + std::to_string(stored + 1) +
                                  " on were not tried"));
}

TEST_F(Streams, EventsThatNobodyReadsHoldNoJobUp) {
  configure("[jobs.k]\nisolation = \"exec\"\ncommand = [\"true\"]\n");
  ASSERT_EQ(shell("seq 20 | carrel enqueue k --lines").lines().size(), 20U);
  const Said said = shell("(carrel run --drain --json; echo $? >code) | head -1");
  EXPECT_EQ(said.lines().size(), 1U);
  EXPECT_THAT(said.err, AllOf(HasSubstr("nobody reads the events any more"),
                              HasSubstr("cannot write to standard output")));
  EXPECT_EQ(shell("cat code").out, "4\n");
  EXPECT_EQ(carrel({"status", "--json"}).json()[0]["jobs"]["completed"], 20);
}

TEST_F(Streams, ASignalEndsLinesBetweenTwoBatches) {
  // The pipe stays open: there may be more to come.
  Running lines(
      {"-c", "mkfifo f; exec 3<>f; seq 600 >&3; exec carrel enqueue k --lines <f"},
      folder_, "", "/bin/sh");
  ASSERT_TRUE(lines.read_until("500\n"));
  lines.signal(SIGTERM);
  const Said said = lines.finish();
  EXPECT_EQ(said.code, 6);
  EXPECT_EQ(said.lines().size(), 500U);
  EXPECT_EQ(said.err,
            "carrel: 500 of 500 jobs were enqueued; those from line 501 on were not "
            "tried\n");
  EXPECT_EQ(jobs(), 500U);
}

TEST_F(Streams, ASignalEndsAWaitThatThenSaysForWhat) {
  Running people({"enqueue", "k", "--wait"}, folder_, "");
  ASSERT_TRUE(people.hear("job 1: available"));
  people.signal(SIGINT);
  const Said said = people.finish();
  EXPECT_EQ(said.code, 6);
  EXPECT_THAT(said.err, HasSubstr("not waited for any longer: 1\n"));
}

TEST_F(Streams, RetriesWhoseIdsNobodyReadsAreCounted) {
  ASSERT_EQ(shell("seq 20000 | carrel enqueue k --lines >ids").code, 0);
  ASSERT_EQ(shell("split -l 5000 ids ids. && for i in ids.*; do carrel cancel $(cat $i) "
                  ">/dev/null || exit; done")
                .code,
            0);
  const Said said = shell("carrel retry --state cancelled --yes | head -1");
  EXPECT_THAT(said.err, HasSubstr(" of 20,000 jobs were retried; those from job "));
  EXPECT_EQ(said.err.find("20,000 of 20,000"), std::string::npos);
}

TEST_F(Streams, CancelsWhoseAnswersNobodyReadsAreCounted) {
  ASSERT_EQ(shell("seq 5000 | carrel enqueue k --lines >ids").code, 0);
  ASSERT_EQ(shell("carrel cancel $(head -n 10 ids)").code, 0);
  const Said said = shell("carrel cancel $(cat ids) | head -n 100");
  EXPECT_THAT(said.out, HasSubstr("job 10: had ended already\njob 11: cancelled\n"));
  std::size_t cancelled = 0;
  std::size_t rest = 0;
  std::string words = said.err;
  std::erase(words, ',');
  ASSERT_EQ(std::sscanf(words.c_str(),
                        "carrel: %zu of 5000 jobs were cancelled; those from job %zu",
                        &cancelled, &rest),
            2)
      << said.err;
  EXPECT_LT(rest, 5'000U) << "a pipe holds no more";
  EXPECT_EQ(cancelled, rest - 11) << "ten had ended before";
}

TEST_F(Streams, AFileThatMayNotGrowIsAFullDisk) {
  const Said said = shell("ulimit -f 4; carrel enqueue k; echo $?");
  EXPECT_EQ(said.out, "4\n") << said.err;
  EXPECT_THAT(said.err, HasSubstr("/jobs.db: ")) << "which one";
}

TEST_F(Streams, ATerminalThatCannotDrawGetsPlainLines) {
  configure("[jobs.k]\nisolation = \"exec\"\ncommand = [\"/bin/sleep\", \"0.1\"]\n");
  for (const std::string term : {"", "dumb"}) {
    carrel({"enqueue", "k"});
    const Said said =
        shell("TERM=" + term + " NO_COLOR= script -qec 'carrel run --drain' /dev/null");
    EXPECT_THAT(said.out, HasSubstr("completed"));
    EXPECT_EQ(said.out.find('\x1b'), std::string::npos) << term;
  }
}

TEST_F(Streams, ATerminalThatCanDrawSeesHowFarItIs) {
  configure(R"(
[worker]
concurrency = 1
poll = "20ms"
[defaults]
isolation = "exec"
[jobs.first]
command = ["true"]
[jobs.second]
timeout = "1m"
max_attempts = 1
command = ["/bin/sh", "-c", "until [ -e go ]; do sleep 0.01; done"]
)");
  carrel({"enqueue", "first"});
  carrel({"enqueue", "second"});
  Running worker({"-c", "TERM=xterm exec script -qec 'carrel run --drain' /dev/null"},
                 folder_, "", "/bin/sh");
  const char* const half =
      "\r[##########----------]  50 % 1/1 running, 0 waiting, 1 completed\x1b[K";
  EXPECT_TRUE(worker.read_until(half));
  std::ofstream(folder_ / "go").close();
  const Said said = worker.finish();
  EXPECT_EQ(said.code, 0);
  const auto over = said.out.find("job 2 second completed");
  ASSERT_NE(over, std::string::npos) << said.out;
  EXPECT_EQ(said.out.substr(over - 4, 4), "\r\x1b[K") << "the bar made room for the line";
  EXPECT_THAT(said.out,
              testing::EndsWith("\r\x1b[K2 completed, 0 failed, 0 cancelled\r\n"));
}

TEST_F(Streams, ALineOfTheLogStandsAboveTheBar) {
  std::ofstream(folder_ / "carrel.toml") << R"(
store = "sqlite:jobs.db?busy_timeout=10ms"
[worker]
poll = "20ms"
[jobs.k]
isolation = "exec"
command = ["true"]
)";
  Running worker({"-c", "TERM=xterm exec script -qec 'carrel run' /dev/null"}, folder_,
                 "", "/bin/sh");
  EXPECT_TRUE(worker.read_until("0 waiting, 0 completed\x1b[K"));
  const int gate = open((folder_ / "jobs.db-gate").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(gate, LOCK_EX), 0) << "the store is busy";
  EXPECT_TRUE(worker.read_until("\r\x1b[Kcarrel: error: "));
  EXPECT_TRUE(worker.read_until("\r\n\r[")) << "and the bar is drawn again";
  close(gate);
}

}  // namespace
}  // namespace carrel::cli_test
