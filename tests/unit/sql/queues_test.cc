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

// The clock of the process is put an hour forward or back: nothing is lost, taken from a
// live run before its lease ends, or accepted from who lost it.
TEST(SqliteClock, AStepMakesNothingEarlyAndNothingTwice) {
  const TemporaryDirectory place;
  conformance::ManualClock clock;
  BackendOptions options;
  options.clock = &clock;
  const auto store = open_url(place.file("jobs.db"), options).value();
  const auto source = store->claim_source();
  NewJob later = work();
  later.delay = 30min;
  const JobId scheduled = store->insert({&later, 1}, 60s).at(0)->id;
  insert_jobs(*store, 1);
  std::uint64_t claims = 0;
  const auto claim = [&](const char* worker) {
    return source->claim({{}, kWork, 9}, worker, ++claims, kLease, 0s).value();
  };
  const auto finish = [&](const Claimed& run) {
    Finish end;
    end.lease = run.lease;
    return store->finish({&end, 1}).at(0).value().kind;
  };
  const auto first = claim("first");
  ASSERT_THAT(first, SizeIs(1));
  clock.advance(-1h);
  EXPECT_EQ(store->sweep(100).value().rescued, 0U);
  EXPECT_THAT(claim("second"), IsEmpty()) << "it is later than it was";
  clock.advance(2h);  // an hour from where it began
  const Swept swept = store->sweep(100).value();
  EXPECT_EQ(swept.rescued, 1U) << "its lease is over by the clock that counts";
  EXPECT_EQ(store->monitor().job(scheduled)->state, State::kAvailable) << "it is due";
  const auto again = claim("second");
  ASSERT_THAT(again, SizeIs(2));
  EXPECT_EQ(finish(first[0]), Finished::Kind::kStale);
  clock.advance(-1h);
  for (const Claimed& run : again) EXPECT_EQ(finish(run), Finished::Kind::kApplied);
  EXPECT_THAT(claim("third"), IsEmpty());
  EXPECT_EQ(store->monitor().counts()->total[static_cast<std::size_t>(State::kCompleted)],
            2U);
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
