// The limit of a queue, over the workers of one file.
#include <carrel/conformance/manual_clock.h>
#include <carrel/engine.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.h"
#include "sqlite_files.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Duration kLease = 30s;

TEST(SqliteQueues, TheLimitHoldsOverTwoEngines) {
  const TemporaryDirectory place;
  Config config;
  config.store = "sqlite:" + place.file("jobs.db");
  config.worker.concurrency = 4;
  config.queues["scarce"].limit = 2;
  config.log.level = LogLevel::kOff;
  Crowd crowd(2);
  Engine one = crowd.engine(config);
  Engine two = crowd.engine(config);
  std::vector<JobId> ids;
  for (int i = 0; i < 60; ++i) {
    ids.push_back(one.enqueue("work", {}, {.queue = "scarce"}).value());
  }
  ASSERT_TRUE(one.start());
  ASSERT_TRUE(two.start());
  for (const JobId id : ids) ASSERT_TRUE(one.wait(id, 60s));
  one.stop(10s);
  two.stop(10s);
  EXPECT_FALSE(crowd.crowded());
}

TEST(SqliteQueues, AHolderThatIsKilledGivesItsShareBackWithItsLease) {
  const TemporaryDirectory place;
  const std::string file = place.file("jobs.db");
  conformance::ManualClock clock;
  BackendOptions options;
  options.clock = &clock;
  options.queue_limits = {{"default", 2}};
  insert_jobs(*open_url(file, options).value(), 3);

  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto store = open_url(file, options).value();
    const auto runs =
        store->claim_source()->claim({{}, kWork, 9}, "doomed", 1, kLease, 0s);
    const char count = static_cast<char>(runs.value().size());
    static_cast<void>(!write(ready[1], &count, 1));
    pause();
    _exit(1);
  }
  char claimed = 0;
  ASSERT_EQ(read(ready[0], &claimed, 1), 1);
  EXPECT_EQ(claimed, 2);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);

  const auto store = open_url(file, options).value();
  const auto source = store->claim_source();
  EXPECT_THAT(source->claim({{}, kWork, 9}, "heir", 1, kLease, 0s).value(), IsEmpty())
      << "until the leases end, they may still run";
  clock.advance(kLease + 1s);
  EXPECT_EQ(store->sweep(100).value().rescued, 2U);
  EXPECT_THAT(source->claim({{}, kWork, 9}, "heir", 2, kLease, 0s).value(), SizeIs(2));
}

}  // namespace
}  // namespace carrel::test
