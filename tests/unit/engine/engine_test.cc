#include <atomic>
#include <stdexcept>
#include <thread>

#include "fixture.h"

namespace carrel {
namespace {

using namespace std::chrono_literals;

struct Point {
  int x = 0;
  int y = 0;
};
[[maybe_unused]] void from_json(const Json& j, Point& p) {
  j.at("x").get_to(p.x);
  j.at("y").get_to(p.y);
}
[[maybe_unused]] void to_json(Json& j, const Point& p) {
  j = Json{{"x", p.x}, {"y", p.y}};
}

TEST(Engine, RunsAHandlerAndHandsBackItsResult) {
  Engine engine = open(memory_config());
  engine.handle("thumbnail", [](Context& job) -> Result<Json> {
    return Json{{"path", job.args().at("path")}, {"attempt", job.attempt()}};
  });
  const auto id = engine.enqueue("thumbnail", {{"path", "a.png"}});
  ASSERT_TRUE(id) << id.error().message;
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(*id, kLong).value(), (Json{{"path", "a.png"}, {"attempt", 1}}));
  EXPECT_EQ(engine.job(*id)->state, State::kCompleted);
}

TEST(Engine, TypedArgumentsAndResults) {
  Engine engine = open(memory_config());
  engine.handle<Point>("mirror", [](Context&, const Point& p) {
    return Point{p.y, p.x};
  });
  const auto id = engine.enqueue("mirror", Point{1, 2}).value();
  const auto bad = engine.enqueue("mirror", {{"x", "one"}}).value();
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(id, kLong).value(), (Json{{"x", 2}, {"y", 1}}));
  const auto refused = engine.wait(bad, kLong);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("the arguments do not fit"), std::string::npos);
  EXPECT_EQ(engine.job(bad)->attempt, 1) << "no retry mends arguments of the wrong shape";
}

TEST(Engine, AJobThatDidNotStartInTimeSaysSo) {
  Engine engine = open(memory_config());
  engine.handle("late", [](Context&) {});
  const auto id = engine.enqueue("late", {}, {.start_within = 1us}).value();
  ASSERT_TRUE(engine.start());
  const auto result = engine.wait(id, kLong);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kFailed);
  EXPECT_EQ(result.error().message,
            "job 1 was discarded: it did not start within its time (start_within)");
}

TEST(Engine, AWaitForAKindThatNothingHereRunsSaysSo) {
  Engine engine = open(memory_config());
  engine.handle("thumbnail", [](Context&) {});
  const auto unknown = engine.enqueue("thumbnial").value();
  const auto known = engine.enqueue("thumbnail").value();
  EXPECT_EQ(engine.wait(unknown, 0s).error().message,
            "job 1 is still available; nothing here runs jobs of kind \"thumbnial\"");
  EXPECT_EQ(engine.wait(known, 0s).error().message,
            "job 2 is still available; this engine has not been started, or was stopped");
}

TEST(Engine, AUrlThatCannotBeNamesItsPlace) {
  const auto error_of = [](const std::string& toml) {
    const auto ready = open(Config::parse(toml, "c.toml").value()).ignite();
    return ready ? std::string("no error") : ready.error().message;
  };
  EXPECT_EQ(error_of("store = \"memroy:\""),
            "c.toml:1:1: store: no backend knows \"memroy\"; known: mariadb, memory, "
            "mysql, postgres, postgresql, sqlite, zmq+ipc, zmq+tcp; did you mean "
            "\"memory\"?");
  EXPECT_EQ(error_of("queue = \"memroy:\"\nstore = \"memory:\"").substr(0, 19),
            "c.toml:1:1: queue: ");
}

TEST(Engine, AThrowFailsTheAttemptWithItsMessageAndIsRetried) {
  Engine engine = open(memory_config());
  engine.handle("flaky", [](Context& job) -> Result<Json> {
    if (job.attempt() < 3)
      throw std::runtime_error("try " + std::to_string(job.attempt()));
    return Json("at last");
  });
  const auto id = engine.enqueue("flaky").value();
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(id, kLong).value(), "at last");
  const auto job = engine.job(id).value();
  ASSERT_EQ(job.attempts.size(), 2U);
  EXPECT_EQ(job.attempts[0].message, "try 1");
  EXPECT_EQ(job.attempts[1].message, "try 2");
  EXPECT_EQ(job.attempts[1].klass, OutcomeClass::kFailed);
  EXPECT_LT(job.attempts[0].fence, job.attempts[1].fence);
}

TEST(Engine, OutOfAttemptsIsDiscardedAndWaitSaysWhy) {
  Engine engine = open(memory_config());
  engine.handle("bad",
                [](Context& job) -> Result<Json> { return job.error("no such file"); });
  const auto id = engine.enqueue("bad", {}, {.max_attempts = 2}).value();
  ASSERT_TRUE(engine.start());
  const auto result = engine.wait(id, kLong);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kFailed);
  EXPECT_EQ(result.error().message, "no such file");
  EXPECT_EQ(engine.job(id)->state, State::kDiscarded);
  EXPECT_EQ(engine.job(id)->attempts.size(), 2U);
}

TEST(Engine, SnoozeCostsNoAttempt) {
  Engine engine = open(memory_config());
  std::atomic<int> runs{0};
  engine.handle("later", [&](Context& job) -> Result<Json> {
    if (++runs < 4) return job.snooze(1ms);
    return Json(job.attempt());
  });
  const auto id = engine.enqueue("later", {}, {.max_attempts = 1}).value();
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(id, kLong).value(), 1);
  EXPECT_EQ(runs, 4);
}

TEST(Engine, CheckpointComesBackInTheNextAttempt) {
  Engine engine = open(memory_config());
  engine.handle("long", [](Context& job) -> Result<Json> {
    if (job.job().checkpoint.empty()) {
      job.checkpoint("page 7");
      return job.error("power cut");
    }
    return Json(job.job().checkpoint);
  });
  const auto id = engine.enqueue("long").value();
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(id, kLong).value(), "page 7");
}

TEST(Engine, ProgressAndLogOfARunningJobCanBeSeen) {
  Engine engine = open(memory_config());
  Gate gate;
  engine.handle("convert", [&](Context& job) {
    job.progress(0.4F, "resizing");
    job.log("opened a.png");
    gate.pass();
    job.progress(7.0F);  // clamped
  });
  const auto id = engine.enqueue("convert").value();
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  JobRecord job = engine.job(id).value();
  for (const auto until = std::chrono::steady_clock::now() + kLong;
       !job.progress && std::chrono::steady_clock::now() < until;) {
    (void)engine.wait(id, 5ms);  // a beat is on its way
    job = engine.job(id).value();
  }
  ASSERT_TRUE(job.progress);
  EXPECT_FLOAT_EQ(job.progress->fraction, 0.4F);
  EXPECT_EQ(job.progress->message, "resizing");
  EXPECT_EQ(job.log, "opened a.png\n");
  EXPECT_EQ(job.state, State::kRunning);
  gate.open();
  ASSERT_TRUE(engine.wait(id, kLong));
  EXPECT_FLOAT_EQ(engine.job(id)->progress->fraction, 1.0F);
}

TEST(Engine, ASpanIsOneCallAndABadRequestFailsAlone) {
  Engine engine = open(memory_config());
  engine.handle("a", [](Context& job) { return job.args(); });
  const std::vector<Request> requests{
      {"a", 1}, {"", 2}, {"a", 3, {.delay = -1s}}, {"a", 4}, {"a", "\xff"}};
  const auto ids = engine.enqueue(requests);
  ASSERT_EQ(ids.size(), 5U);
  EXPECT_TRUE(ids[0]);
  EXPECT_FALSE(ids[1]);
  EXPECT_NE(ids[1].error().message.find("a kind"), std::string::npos);
  EXPECT_FALSE(ids[2]);
  EXPECT_NE(ids[2].error().message.find("delay"), std::string::npos);
  EXPECT_TRUE(ids[3]);
  EXPECT_FALSE(ids[4]) << "no valid UTF-8";
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(*ids[3], kLong).value(), 4);
}

// Claims carry the names of all kinds: one that a database refuses would stop them all.
TEST(Engine, AHandlerOfANameThatNoJobCanHaveIsRefused) {
  Engine engine = open(memory_config());
  const auto why = [&](std::string_view kind) {
    const auto ok = engine.handle(kind, [](Context&) {});
    return ok ? std::string("nothing") : ok.error().message;
  };
  EXPECT_EQ(why("caf\xe9"), "handle(\"caf\\ufffd\"): the name of a kind is not UTF-8");
  EXPECT_NE(why("").find("is empty"), std::string::npos);
  EXPECT_NE(why("a\nb").find("control character"), std::string::npos);
}

TEST(Engine, AHandlerWithoutAFunctionIsRefused) {
  constexpr const char* kWhy = "handle(\"a\"): there is no function in its handler";
  const std::function<void(Context&)> none;
  void (*const nothing)(Context&) = nullptr;
  for (const Handler& handler : {Handler(), make_handler(none), make_handler(nothing)}) {
    Engine engine = open(memory_config());
    const auto refused = engine.handle("a", handler);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, kWhy);
    EXPECT_EQ(engine.start().error().message, kWhy);
  }
}

TEST(Engine, ArgumentsThatWereNotParsedAreRefused) {
  Engine engine = open(memory_config());
  const auto id = engine.enqueue("a", Json::parse("{", nullptr, false));
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().message,
            "the arguments: what was not parsed (Json::is_discarded) is no value");
}

TEST(Engine, TheSameRequestIdIsOneJob) {
  Engine engine = open(memory_config());
  const auto first = engine.enqueue("a", 1, {.request_id = "order 7"}).value();
  const auto again = engine.enqueue("a", 1, {.request_id = "order 7"}).value();
  EXPECT_EQ(first, again);
}

TEST(Engine, WaitTimesOutAndNamesTheState) {
  Engine engine = open(memory_config());
  const auto id = engine.enqueue("nobody").value();
  const auto result = engine.wait(id, 1ms);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kTimeout);
  EXPECT_NE(result.error().message.find("available"), std::string::npos);
  EXPECT_EQ(engine.wait(JobId{999}, 1ms).error().code, Code::kNotFound);
  // As nanoseconds that would be a time in the future.
  EXPECT_EQ(engine.wait(id, Duration{-9'300'000'000'000'000}).error().code,
            Code::kTimeout);
}

TEST(Engine, AnUnknownKindWaitsVisiblyAndStrictKindsRefusesIt) {
  Engine engine = open(memory_config());
  engine.handle("known", [](Context&) {});
  const auto id = engine.enqueue("unknown").value();
  const auto known = engine.enqueue("known").value();
  ASSERT_TRUE(engine.start());
  ASSERT_TRUE(engine.wait(known, kLong));
  EXPECT_EQ(engine.job(id)->state, State::kAvailable);
  EXPECT_EQ(engine.health()->unhandled, std::vector<std::string>{"unknown"});

  Config strict = memory_config();
  strict.strict_kinds = true;
  Engine other = open(strict);
  const auto refused = other.enqueue("unknown");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("strict_kinds"), std::string::npos);
}

TEST(Engine, PriorityThenAge) {
  Engine engine = open(memory_config(1));
  std::mutex mutex;
  std::vector<int> order;
  engine.handle("n", [&](Context& job) {
    std::lock_guard lock(mutex);
    order.push_back(job.args().get<int>());
  });
  ASSERT_TRUE(engine.enqueue("n", 1, {.priority = 5}));
  ASSERT_TRUE(engine.enqueue("n", 2, {.priority = -5}));
  ASSERT_TRUE(engine.enqueue("n", 3, {.priority = 5}));
  ASSERT_TRUE(engine.enqueue("n", 4, {.priority = 0}));
  EXPECT_EQ(engine.drain()->completed, 4U);
  EXPECT_EQ(order, (std::vector<int>{2, 4, 1, 3}));
}

TEST(Engine, APausedQueueStandsStillUntilResumed) {
  Engine engine = open(memory_config());
  engine.handle("n", [](Context&) {});
  ASSERT_TRUE(engine.pause("slow"));
  const auto held = engine.enqueue("n", {}, {.queue = "slow"}).value();
  const auto other = engine.enqueue("n").value();
  ASSERT_TRUE(engine.start());
  ASSERT_TRUE(engine.wait(other, kLong));
  EXPECT_EQ(engine.job(held)->state, State::kAvailable);
  EXPECT_EQ(engine.health()->paused, std::vector<std::string>{"slow"});
  ASSERT_TRUE(engine.resume("slow"));
  EXPECT_TRUE(engine.wait(held, kLong));
  const auto refused = engine.pause("caf\xe9");  // who lists it could not print it
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "pause(\"caf\\ufffd\"): the name of a queue is not UTF-8");
}

TEST(Engine, CancelReachesWaitingAndRunningJobs) {
  Engine engine = open(memory_config(1));
  Gate gate;
  engine.handle("hold", [&](Context& job) -> Result<Json> {
    std::stop_callback wake(job.stop(), [&] { gate.open(); });
    gate.pass();
    return fail(Code::kCancelled, "stopped");
  });
  const auto running = engine.enqueue("hold").value();
  ASSERT_TRUE(engine.start());
  gate.wait_for(1);
  const auto waiting = engine.enqueue("hold").value();
  EXPECT_EQ(engine.cancel(waiting).value(), Cancelled::kCancelled);
  EXPECT_EQ(engine.cancel(running).value(), Cancelled::kRequested);
  EXPECT_EQ(engine.wait(running, kLong).error().code, Code::kCancelled);
  EXPECT_EQ(engine.wait(waiting, kLong).error().code, Code::kCancelled);
  EXPECT_EQ(engine.cancel(running).value(), Cancelled::kAlreadyFinal);
  EXPECT_EQ(engine.cancel(JobId{999}).value(), Cancelled::kNotFound);
}

TEST(Engine, RetryBringsADiscardedJobBack) {
  Engine engine = open(memory_config());
  std::atomic<bool> mended{false};
  engine.handle("n", [&](Context& job) -> Result<Json> {
    if (!mended) return job.discard("broken");
    return Json("fine");
  });
  const auto id = engine.enqueue("n").value();
  EXPECT_EQ(engine.drain()->failed, 1U);
  EXPECT_EQ(engine.job(id)->state, State::kDiscarded);
  mended = true;
  ASSERT_TRUE(engine.retry(id));
  EXPECT_EQ(engine.drain()->completed, 1U);
  EXPECT_EQ(engine.wait(id, kLong).value(), "fine");
}

TEST(Engine, HooksHearWhatBecameOfEachAttempt) {
  Engine engine = open(memory_config(1));
  std::vector<std::pair<Verdict, State>> finished;
  std::vector<std::string> failed;
  engine.on_finished([&](const Event& e) { finished.emplace_back(e.verdict, e.state); });
  engine.on_failed([&](const Event& e) { failed.push_back(e.outcome.error.message); });
  engine.handle("good", [](Context&) { return 1; });
  engine.handle("bad", [](Context& job) -> Result<Json> { return job.error("oh"); });
  ASSERT_TRUE(engine.enqueue("good"));
  ASSERT_TRUE(engine.enqueue("bad", {}, {.max_attempts = 1}));
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(failed, std::vector<std::string>{"oh"});
  ASSERT_EQ(finished.size(), 2U);
  EXPECT_EQ(finished[0], std::pair(Verdict::kCompleted, State::kCompleted));
  EXPECT_EQ(finished[1].second, State::kDiscarded);
}

TEST(Engine, HooksHearHowLongARunTookWithAResultAndWithout) {
  Engine engine = open(memory_config(1));
  std::vector<std::pair<std::string, bool>>
      heard;  // what was said, and its time was told
  engine.on_finished([&](const Event& e) {
    EXPECT_EQ(e.outcome.klass, OutcomeClass::kOk);
    heard.emplace_back(e.outcome.result, e.outcome.usage.wall >= 1ms);
  });
  const auto take_time = [] {
    const auto end = std::chrono::steady_clock::now() + 2ms;
    while (std::chrono::steady_clock::now() < end) continue;
  };
  engine.handle("silent", [&](Context&) { take_time(); });
  engine.handle("answers", [&](Context&) {
    take_time();
    return 1;
  });
  ASSERT_TRUE(engine.enqueue("silent"));
  ASSERT_TRUE(engine.enqueue("answers"));
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(heard, (std::vector<std::pair<std::string, bool>>{{"", true}, {"1", true}}));
}

TEST(Engine, ProgressIsHeardAsItIsReportedAndNeverAfterTheEnd) {
  for (const Mode mode : {Mode::kNormal, Mode::kInline}) {
    Config config = memory_config(1);
    config.mode = mode;
    Engine engine = open(config);
    std::vector<std::string> heard;  // one job on one thread at a time
    engine.on_progress([&](const Claimed& job, const Progress& progress) {
      heard.push_back(job.kind + " " + progress.message + " " +
                      std::to_string(static_cast<int>(progress.fraction * 100)));
    });
    engine.on_progress([](const Claimed&, const Progress&) { throw 1; });  // is logged
    engine.on_finished([&](const Event&) { heard.push_back("end"); });
    engine.handle("convert", [](Context& job) {
      job.progress(0.25F, "reading");
      job.progress(7, "written");
    });
    const auto id = engine.enqueue("convert").value();
    if (mode == Mode::kNormal) {
      ASSERT_TRUE(engine.drain());
    }
    EXPECT_EQ(heard, (std::vector<std::string>{"convert reading 25",
                                               "convert written 100", "end"}));
    EXPECT_EQ(engine.job(id)->progress->message, "written");
  }
}

TEST(Engine, AnAbandonedThreadTellsNobodyOfItsProgress) {
  Config config = memory_config(1);
  config.jobs["deaf"] = config.defaults;
  config.jobs["deaf"].timeout = std::chrono::milliseconds(20);
  config.jobs["deaf"].max_attempts = 1;
  auto gate = std::make_shared<Gate>();  // the thread may outlive this test
  const auto heard = std::make_shared<std::atomic<int>>(0);
  const auto done = std::make_shared<Gate>();
  Engine engine = open(config);
  engine.on_progress([heard](const Claimed&, const Progress&) { ++*heard; });
  engine.handle("deaf", [gate, done](Context& job) {
    job.progress(0.1F);
    gate->pass();
    job.progress(0.2F);
    done->open();
  });
  const auto id = engine.enqueue("deaf").value();
  ASSERT_TRUE(engine.start());
  EXPECT_EQ(engine.wait(id, kLong).error().code, Code::kFailed);
  EXPECT_EQ(engine.job(id)->attempts.back().klass, OutcomeClass::kTimeoutAbandoned);
  gate->open();
  done->pass();
  EXPECT_EQ(*heard, 1);
}

TEST(Engine, AResultPastItsLimitFailsAloneAndIsNotRetried) {
  Config config = memory_config();
  config.defaults.result_limit = 100;
  Engine engine = open(config);
  engine.handle("big", [](Context&) { return std::string(101, 'x'); });
  engine.handle("fits", [](Context&) { return std::string(98, 'x'); });
  const auto big = engine.enqueue("big").value();
  const auto fits = engine.enqueue("fits").value();
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(engine.job(big)->state, State::kDiscarded);
  EXPECT_EQ(engine.job(big)->attempt, 1);
  EXPECT_NE(engine.job(big)->attempts.back().message.find("103 bytes"),
            std::string::npos);
  EXPECT_EQ(engine.job(fits)->state, State::kCompleted);
}

TEST(Engine, BytesGoThroughUnchanged) {
  Engine engine = open(memory_config());
  const std::string bytes("\0\xff{not json", 11);
  std::string seen;
  engine.handle("raw", [&](Context& job) { seen = job.job().payload; });
  ASSERT_TRUE(engine.enqueue_bytes("raw", bytes));
  ASSERT_TRUE(engine.drain());
  EXPECT_EQ(seen, bytes);
}

}  // namespace
}  // namespace carrel
