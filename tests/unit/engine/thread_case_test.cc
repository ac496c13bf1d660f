// Cases of the corpus of hostile jobs that run in threads of the host.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <vector>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

// What a job said when it failed for good.
std::string failure_of(Engine& engine, JobId id) {
  const auto result = engine.wait(id, kLong);
  EXPECT_FALSE(result);
  return result ? "" : result.error().message;
}

TEST(ThreadCases, Case01_StdAndNonStdException_Failed) {
  for (const char* isolation : {"thread", "mutex"}) {
    Config config = memory_config(1);
    for (const char* kind : {"std", "other"}) {
      config.jobs[kind].isolation = isolation;
      config.jobs[kind].max_attempts = 1;
    }
    Engine engine = open(config);
    engine.handle("std", [](Context&) { throw std::runtime_error("no good"); });
    engine.handle("other", [](Context&) { throw 7; });
    engine.handle("control", [](Context&) { return 1; });
    const auto std_thrown = engine.enqueue("std").value();
    const auto other_thrown = engine.enqueue("other").value();
    ASSERT_TRUE(engine.start());
    EXPECT_NE(failure_of(engine, std_thrown).find("no good"), std::string::npos);
    EXPECT_FALSE(failure_of(engine, other_thrown).empty());
    for (const auto id : {std_thrown, other_thrown}) {
      EXPECT_EQ(engine.job(id)->attempts.at(0).klass, OutcomeClass::kFailed) << isolation;
    }
    EXPECT_EQ(engine.wait(engine.enqueue("control").value(), kLong).value(), 1);
  }
}

// Each job waits until as many run as there are threads: one that was not woken is
// missed.
TEST(ThreadCases, JobsThatComeOneByOneGetAllThreads) {
  constexpr std::size_t kThreads = 4;
  Engine engine = open(memory_config(kThreads));
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t begun = 0;
  std::size_t met = 0;
  engine.handle("meet", [&](Context&) {
    std::unique_lock lock(mutex);
    const std::size_t all = (begun++ / kThreads + 1) * kThreads;
    changed.notify_all();
    if (changed.wait_for(lock, kLong, [&] { return begun >= all; })) ++met;
  });
  ASSERT_TRUE(engine.start());
  for (std::size_t round = 1; round <= 500; ++round) {
    for (std::size_t i = 0; i < kThreads; ++i) ASSERT_TRUE(engine.enqueue("meet"));
    if (round % 10 != 0) continue;  // else they come while others still end
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, kLong, [&] { return begun == round * kThreads; }));
  }
  engine.stop(kLong);
  EXPECT_EQ(met, 500 * kThreads);
}

// Where many wait a thread takes several for itself; those behind a long one are for
// whoever is free.
TEST(ThreadCases, WhatAThreadHasTakenForLaterDoesNotWaitForWhatItRuns) {
  constexpr std::size_t kJobs = 128;
  Config config = memory_config(2);
  config.worker.prefetch = 2 * kJobs;
  Engine engine = open(config);
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t ended = 0;
  bool others_ended = false;
  engine.handle("first", [&](Context&) {
    std::unique_lock lock(mutex);
    others_ended = changed.wait_for(lock, kLong, [&] { return ended == kJobs - 1; });
  });
  engine.handle("other", [&](Context&) {
    const std::lock_guard lock(mutex);
    ++ended;
    changed.notify_all();
  });
  std::vector<Request> requests(kJobs, Request{"other", {}, {}});
  requests.front().kind = "first";
  requests.front().options.priority = -1;
  const auto ids = engine.enqueue(requests);
  ASSERT_TRUE(engine.start());
  EXPECT_TRUE(engine.wait(ids.front().value(), 2 * kLong));
  EXPECT_TRUE(others_ended);
}

// A cancel that it does not heed takes nothing away from its deadline.
TEST(ThreadCases, Case02_CancelledAndDeaf_AbandonedAtItsDeadline) {
  Config config = memory_config(1);
  config.defaults.stop_grace = 1ms;
  config.defaults.term_grace = 1ms;
  Engine engine = open(config);
  Gate gate;
  engine.handle("deaf", [&](Context&) { gate.pass(); });
  engine.handle("other", [](Context&) { return 1; });
  const auto deaf = engine.enqueue("deaf", {}, {.timeout = 200ms}).value();
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  ASSERT_TRUE(engine.cancel(deaf));
  EXPECT_EQ(engine.wait(deaf, kLong).error().code, Code::kCancelled);
  EXPECT_EQ(engine.health()->stuck, 1U);
  EXPECT_EQ(engine.wait(engine.enqueue("other").value(), kLong).value(), 1);
  gate.open();
}

TEST(ThreadCases, Case02_IgnoresStop_TimeoutAbandonedAndReplaced) {
  Engine engine = open(memory_config(1));
  Gate gate;
  std::atomic<int> deaf_runs{0};
  engine.handle("deaf", [&](Context&) {
    ++deaf_runs;
    gate.pass();
  });
  engine.handle("other", [](Context&) { return 1; });
  const auto deaf =
      engine.enqueue("deaf", {}, {.timeout = 5ms, .max_attempts = 1}).value();
  ASSERT_TRUE(engine.start());
  const auto result = engine.wait(deaf, kLong);
  ASSERT_FALSE(result);
  EXPECT_EQ(engine.job(deaf)->attempts.at(0).klass, OutcomeClass::kTimeoutAbandoned);
  EXPECT_EQ(engine.health()->stuck, 1U);
  // The only thread is stuck: another one has its place.
  EXPECT_EQ(engine.wait(engine.enqueue("other").value(), kLong).value(), 1);
  gate.open();
  const auto until = std::chrono::steady_clock::now() + kLong;
  while (engine.health()->stuck > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
  EXPECT_EQ(engine.health()->stuck, 0U);
  EXPECT_EQ(engine.job(deaf)->state, State::kDiscarded) << "its late end changes nothing";
  EXPECT_EQ(deaf_runs, 1);
}

TEST(ThreadCases, Case03_SameKeyMoreJobsThanThreads_SerialFifoWhileOtherKeysMove) {
  Config config = memory_config(4);
  config.jobs["credit"].isolation = "mutex";
  config.jobs["credit"].key = "community:{community}";
  Engine engine = open(config);
  Gate gate;
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::mutex mutex;
  std::vector<int> order;
  engine.handle("credit", [&](Context& job) {
    if (job.args().at("community") == "b") return;
    most = std::max(most.load(), ++inside);
    gate.pass();
    {
      std::lock_guard lock(mutex);
      order.push_back(job.args().at("n").get<int>());
    }
    --inside;
  });
  std::vector<JobId> same;
  const auto add = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      same.push_back(engine.enqueue("credit", {{"community", "a"}, {"n", i}}).value());
    }
  };
  add(0, 3);
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  // Two more of key "a" wait for it and hold a slot each, but no thread.
  const auto other = engine.enqueue("credit", {{"community", "b"}}).value();
  EXPECT_TRUE(engine.wait(other, kLong)) << "while one of \"a\" is within";
  add(3, 6);
  EXPECT_EQ(gate.visitors(), 1U);
  gate.open();
  for (const auto id : same) ASSERT_TRUE(engine.wait(id, kLong));
  EXPECT_EQ(most, 1);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

// Each stuck thread is replaced, but only as many as the worker has threads: a host is
// not filled with threads that will never come back.
TEST(ThreadCases, Case02_AsManyStuckThreadsAreReplacedAsThereAreThreads) {
  constexpr std::size_t kThreads = 2;
  for (const char* isolation : {"thread", "mutex"}) {
    Config config = memory_config(kThreads);
    config.jobs["deaf"] = config.defaults;
    config.jobs["deaf"].isolation = isolation;
    config.jobs["other"].isolation = isolation;
    config.jobs["deaf"].key = isolation == std::string("mutex") ? "{n}" : "";
    Engine engine = open(config);
    Gate gate;
    engine.handle("deaf", [&](Context&) { gate.pass(); });
    engine.handle("other", [](Context&) { return 1; });
    ASSERT_TRUE(engine.start());
    for (std::size_t n = 1; n <= 2 * kThreads; ++n) {
      const auto deaf =
          engine.enqueue("deaf", {{"n", n}}, {.timeout = 5ms, .max_attempts = 1}).value();
      ASSERT_FALSE(engine.wait(deaf, kLong));
      EXPECT_EQ(engine.job(deaf)->attempts.at(0).klass, OutcomeClass::kTimeoutAbandoned);
      EXPECT_EQ(engine.health()->stuck, n);
    }
    EXPECT_EQ(gate.visitors(), 2 * kThreads);
    // No thread is left, nor made: this one waits until one of them comes back.
    const auto other = engine.enqueue("other").value();
    const auto early = engine.wait(other, 50ms);
    ASSERT_FALSE(early);
    EXPECT_EQ(early.error().code, Code::kTimeout);
    gate.open();
    EXPECT_EQ(engine.wait(other, kLong).value(), 1);
    const auto until = std::chrono::steady_clock::now() + kLong;
    while (engine.health()->stuck > 0 && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    EXPECT_EQ(engine.health()->stuck, 0U);
  }
}

TEST(ThreadCases, Case04_WaitsOnItsOwnKey_RefusedNoDeadLock) {
  for (const char* key : {"", "community:{community}"}) {
    Config config = memory_config(4);
    for (const char* kind : {"outer", "inner"}) {
      config.jobs[kind].isolation = "mutex";
      config.jobs[kind].key = key;
      config.jobs[kind].max_attempts = 1;
    }
    Engine engine = open(config);
    engine.handle("inner", [](Context&) { return "done"; });
    engine.handle("outer", [&](Context& job) -> Result<Json> {
      const Json args = job.args();
      if (args.value("depth", 0) > 0) return Json("done");
      const auto asked = [&](const std::string& kind, const char* community) {
        const Json below = {{"community", community}, {"depth", 1}};
        return engine.wait(engine.enqueue(kind, below).value(), kLong);
      };
      // Of its own key: with it, that one could never begin.
      const auto same = asked("outer", "a");
      if (same || same.error().code != Code::kInvalid) return Json("was not refused");
      // Of another key it may wait.
      return asked(args.at("other").get<std::string>(), "b");
    });
    ASSERT_TRUE(engine.start());
    const std::string_view other = *key == '\0' ? "inner" : "outer";
    const auto id =
        engine.enqueue("outer", {{"community", "a"}, {"other", other}}).value();
    const auto result = engine.wait(id, kLong);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(*result, "done");
    // Outside of a handler anybody may wait for anything; the refused one runs at last.
    EXPECT_TRUE(engine.wait(JobId{value(id) + 1}, kLong));
    EXPECT_TRUE(
        engine.wait(engine.enqueue("inner", {{"community", "a"}}).value(), kLong));
  }
}

TEST(ThreadCases, Case05_ChangesTheSignalMask_Restored) {
  for (const char* isolation : {"thread", "mutex"}) {
    Config config = memory_config(1);
    config.jobs["change"].isolation = isolation;
    config.jobs["look"].isolation = isolation;
    Engine engine = open(config);
    const auto has = [](int signal) {
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      return sigismember(&mask, signal) == 1;
    };
    engine.handle("look", [&](Context&) { return Json{has(SIGUSR1), has(SIGUSR2)}; });
    engine.handle("change", [](Context&) {
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      for (const int signal : {SIGUSR1, SIGUSR2}) {
        if (sigismember(&mask, signal) == 1) {
          sigdelset(&mask, signal);
        } else {
          sigaddset(&mask, signal);
        }
      }
      pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    });
    ASSERT_TRUE(engine.start());
    const Json before = engine.wait(engine.enqueue("look").value(), kLong).value();
    ASSERT_TRUE(engine.wait(engine.enqueue("change").value(), kLong));
    EXPECT_EQ(engine.wait(engine.enqueue("look").value(), kLong).value(), before)
        << isolation;
  }
}

// Or the kernel would end the host for one, and never ask its handler.
TEST(ThreadCases, SignalsOfFaultsAreAsTheHostHasThem) {
  for (const bool host_blocks : {false, true}) {
    sigset_t trap;
    sigemptyset(&trap);
    sigaddset(&trap, SIGTRAP);
    pthread_sigmask(host_blocks ? SIG_BLOCK : SIG_UNBLOCK, &trap, nullptr);
    Engine engine = open(memory_config(1));
    engine.handle("look", [](Context&) {
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      Json blocked;
      for (const int signal : {SIGTERM, SIGSEGV, SIGTRAP}) {
        blocked.push_back(sigismember(&mask, signal) == 1);
      }
      return blocked;
    });
    ASSERT_TRUE(engine.start());
    EXPECT_EQ(engine.wait(engine.enqueue("look").value(), kLong).value(),
              (Json{true, false, host_blocks}));
    pthread_sigmask(SIG_UNBLOCK, &trap, nullptr);
  }
}

// What Asio throws for it is no std::system_error.
TEST(ThreadCases, AStartWithoutDescriptorsIsAnErrorAndTheNextOneWorks) {
  Engine engine = open(memory_config(1));
  engine.handle("work", [](Context&) {});
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const int next = dup(STDIN_FILENO);
  close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto refused = engine.start();
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable) << refused.error().message;
  EXPECT_TRUE(engine.start());
}

// As on a machine that has no more threads to give.
class NoRoomForStacks {
 public:
  NoRoomForStacks() {
    getrlimit(RLIMIT_AS, &before_);
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const std::uint64_t mapped = pages * static_cast<std::uint64_t>(getpagesize());
    const rlimit limit{mapped + (1 << 20), before_.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
  }
  ~NoRoomForStacks() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST(ThreadCases, ThreadsThatCannotBeHadAreAnError) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer ends a process that has no room for its own maps";
#endif
  for (const char* isolation : {"thread", "mutex"}) {
    Config config = memory_config(500);
    config.defaults.isolation = isolation;
    Engine engine = open(config);
    engine.handle("any", [](Context&) { return 1; });
    {
      const NoRoomForStacks no_room;
      const auto id = engine.enqueue("any");
      ASSERT_FALSE(id);
      EXPECT_EQ(id.error().code, Code::kUnavailable);
      EXPECT_NE(id.error().message.find("worker.concurrency is 500"), std::string::npos)
          << id.error().message;
    }
    const auto id = engine.enqueue("any");
    ASSERT_TRUE(id) << "it can be tried again: " << id.error().message;
    ASSERT_TRUE(engine.drain());
    EXPECT_EQ(engine.wait(*id, 0s).value(), 1);
  }
}

// An engine of one thread, which a job holds past its time until the gate is open.
class StuckThread : public testing::Test {
 protected:
  StuckThread() { config.defaults.max_attempts = 1; }
  void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer ends a process that has no room for its own maps";
#endif
  }
  void start() {
    engine.emplace(open(config));
    engine->handle("stuck", [this](Context&) { gate.pass(); });
    engine->handle("next", [](Context&) { return 1; });
    stuck = engine->enqueue("stuck", {}, {.timeout = 1ms}).value();
    ASSERT_TRUE(engine->start());
    gate.wait_for(1);
  }
  JobId enqueue_next() { return engine->enqueue("next").value(); }

  Config config = memory_config(1);
  Gate gate;
  std::optional<Engine> engine;
  JobId stuck{};
};

TEST_F(StuckThread, IsReplacedOnceThatCanBe) {
  start();
  {
    const NoRoomForStacks no_room;
    EXPECT_FALSE(engine->wait(stuck, kLong));
  }
  EXPECT_EQ(engine->job(stuck)->attempts.at(0).klass, OutcomeClass::kTimeoutAbandoned);
  const auto next = engine->wait(enqueue_next(), kLong);
  EXPECT_EQ(engine->health()->stuck, 1U);
  gate.open();
  ASSERT_TRUE(next) << "there is room for another thread: " << next.error().message;
}

// What waited for it is given back; a beat sees that there is room again.
TEST_F(StuckThread, IsReplacedForWhatWaitsOnceThatCanBe) {
  config.worker.prefetch = 1;
  config.worker.beat = 10ms;
  start();
  const JobId next = enqueue_next();
  {
    const NoRoomForStacks no_room;
    EXPECT_FALSE(engine->wait(stuck, kLong));
    EXPECT_EQ(engine->job(next)->state, State::kAvailable);
    EXPECT_EQ(engine->own_health().exhausted, std::vector<std::string>{"thread"});
  }
  const auto done = engine->wait(next, kLong);
  gate.open();
  EXPECT_TRUE(done) << done.error().message;
}

TEST_F(StuckThread, ThatCannotBeReplacedIsMissedOnly) {
  start();
  const NoRoomForStacks no_room;
  EXPECT_FALSE(engine->wait(stuck, kLong));
  const JobId next = enqueue_next();
  gate.open();
  EXPECT_EQ(engine->wait(next, kLong).value(), 1) << "the thread that came back runs it";
}

// More threads are stuck than are replaced: the first that comes back is one for another.
TEST(ThreadCases, AThreadThatComesBackStandsInForOneThatIsStuck) {
  Config config = memory_config(1);
  config.defaults.max_attempts = 1;
  Gate first;
  Gate second;
  Engine engine = open(config);
  engine.handle("first", [&](Context&) { first.pass(); });
  engine.handle("second", [&](Context&) { second.pass(); });
  engine.handle("next", [](Context&) { return 1; });
  ASSERT_TRUE(engine.start());
  for (const char* kind : {"first", "second"}) {
    const auto id = engine.enqueue(kind, {}, {.timeout = 1ms}).value();
    EXPECT_FALSE(engine.wait(id, kLong));
    EXPECT_EQ(engine.job(id)->attempts.at(0).klass, OutcomeClass::kTimeoutAbandoned);
  }
  EXPECT_EQ(engine.health()->stuck, 2U);
  first.open();
  const auto next = engine.wait(engine.enqueue("next").value(), kLong);
  EXPECT_EQ(engine.health()->stuck, 1U);
  second.open();
  ASSERT_TRUE(next) << next.error().message;
}

// Half of a character is no text, and some databases refuse it.
TEST(ThreadCases, WhatIsCutOffEndsWithAWholeCharacter) {
  for (const char* isolation : {"thread", "mutex", "inline"}) {
    Config config = memory_config(1);
    if (std::string_view(isolation) == "inline") {
      config.mode = Mode::kInline;
    } else {
      config.defaults.isolation = isolation;
    }
    Engine engine = open(config);
    engine.handle("talks", [](Context& job) {
      job.progress(0.5F, std::string(1'023, 'p') + "é");
      job.log(std::string(4'095, 'l') + "é");
    });
    const auto id = engine.enqueue("talks").value();
    ASSERT_TRUE(engine.drain());
    const JobRecord job = engine.job(id).value();
    EXPECT_EQ(job.progress->message.size(), 1'023U) << isolation;
    EXPECT_EQ(job.log.size(), 4'096U) << isolation << ": with its end of line";
  }
}

}  // namespace
}  // namespace carrel
