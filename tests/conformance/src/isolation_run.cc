// Runs of handlers: what comes back, and in what order.
#include <gmock/gmock.h>

#include <csignal>

#include "isolation_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void add_result_cases(IsolationCases& cases) {
  cases.add("Run_AResultComesBack", [](IsolationCase& t) {
    const std::string args =
        R"({"a":[1,2.5,null,true],"text":"grüße, 你好, 🙂, \"quoted\"\n\u0000","z":{}})";
    const Outcome out = t.run("conformance.echo", args);
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(Json::parse(out.result), Json::parse(args));
    EXPECT_EQ(out.exit_code, 0);
    EXPECT_EQ(out.signal, 0);
    EXPECT_GT(out.usage.wall, 0us);
  });

  cases.add("Run_NoResultIsEmpty", [](IsolationCase& t) {
    const Outcome out = t.run("conformance.nothing");
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(out.result, "");
  });

  cases.add("Run_TheContextKnowsItsJob", [](IsolationCase& t) {
    Claimed job;
    job.lease = {JobId{(std::uint64_t{1} << 40) + 3}, Fence{77}};
    job.queue = "images";
    job.attempt = 4;
    job.max_attempts = 9;
    job.priority = -3;
    job.checkpoint = "page 7";
    Limits limits;
    limits.wall = 1h;
    const Outcome out = t.run("conformance.tell", "[1]", limits, job);
    ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(Json::parse(out.result), (Json{{"id", value(job.lease.id)},
                                             {"fence", 77},
                                             {"queue", "images"},
                                             {"kind", "conformance.tell"},
                                             {"attempt", 4},
                                             {"max_attempts", 9},
                                             {"priority", -3},
                                             {"checkpoint", "page 7"},
                                             {"args", {1}},
                                             {"limited", true},
                                             {"stopping", false},
                                             {"kept", kKept.count()}}));
    const Outcome unlimited = t.run("conformance.tell");
    ASSERT_EQ(unlimited.klass, OutcomeClass::kOk) << unlimited.error.message;
    EXPECT_EQ(Json::parse(unlimited.result).at("limited"), false);
    EXPECT_EQ(Json::parse(unlimited.result).at("args"), Json());
  });

  cases.add("Run_AResultOf200KilobytesIsOk", [](IsolationCase& t) {
    const Outcome out = t.run("conformance.bytes", R"({"n":200000})");
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_TRUE(out.result == '"' + std::string(200'000, 'x') + '"');
  });

  cases.add("Run_AResultPastItsLimitIsTooLarge", [](IsolationCase& t) {
    Limits limits;
    limits.result_bytes = 100'000;
    const Outcome fits = t.run("conformance.bytes", R"({"n":99998})", limits);
    EXPECT_EQ(fits.klass, OutcomeClass::kOk) << fits.error.message;
    EXPECT_EQ(fits.result.size(), 100'000U);
    for (const char* args : {R"({"n":99999})", R"({"n":5000000})"}) {
      const Outcome out = t.run("conformance.bytes", args, limits);
      EXPECT_NE(out.klass, OutcomeClass::kOk) << args;
      EXPECT_EQ(out.error.code, Code::kTooLarge) << args;
      EXPECT_THAT(out.error.message, HasSubstr("100000"))
          << "the message names the limit";
      EXPECT_EQ(out.result, "");
    }
    t.expect_alive();
  });

  cases.add("Run_AResultThatIsNoJsonFails", [](IsolationCase& t) {
    const Outcome out = t.run("conformance.not_utf8");
    EXPECT_NE(out.klass, OutcomeClass::kOk);
    EXPECT_FALSE(out.error.message.empty());
    t.expect_alive();
  });

  cases.add("Run_ProgressLogAndCheckpointArriveInOrderBeforeTheEnd",
            [](IsolationCase& t) {
              const Started started = t.start("conformance.talk");
              ASSERT_FALSE(started.refused);
              EXPECT_EQ(started.listener->wait_end().klass, OutcomeClass::kOk);
              std::vector<std::string> heard = started.listener->heard();
              std::erase(heard, "start");
              std::vector<std::string> expected;
              const char* fractions[] = {"0.25", "0.50", "0.75", "1.00"};
              for (int i = 1; i <= 4; ++i) {
                const std::string n = std::to_string(i);
                expected.push_back(std::string("progress ") + fractions[i - 1] +
                                   " step " + n + " «ä»");
                expected.push_back("log line " + n);
                expected.push_back("checkpoint " + std::string("at\0", 3) + n);
              }
              expected.emplace_back("progress 1.00 ");
              expected.emplace_back("end");
              // Whether the fraction is clamped here or by whoever stores it is not said.
              for (std::string& what : heard) {
                if (what == "progress 7.00 ") what = "progress 1.00 ";
              }
              EXPECT_EQ(heard, expected);
            });
}

void add_failure_cases(IsolationCases& cases) {
  cases.add("Fail_AnErrorComesBackAsItWas", [](IsolationCase& t) {
    const Outcome out = t.run("conformance.error", R"({"say":"no such file: «ä»"})");
    EXPECT_EQ(out.klass, OutcomeClass::kFailed);
    EXPECT_EQ(out.error.code, Code::kFailed);
    EXPECT_EQ(out.error.message, "no such file: «ä»");
  });

  cases.add("Fail_AnExceptionIsAFailedAttempt", [](IsolationCase& t) {
    Outcome out = t.run("conformance.throw_std");
    EXPECT_EQ(out.klass, OutcomeClass::kFailed);
    EXPECT_THAT(out.error.message, HasSubstr("thrown on purpose «ü»"));
    out = t.run("conformance.throw_int");
    EXPECT_EQ(out.klass, OutcomeClass::kFailed);
    EXPECT_FALSE(out.error.message.empty());
    t.expect_alive();
  });

  cases.add("Fail_ArgumentsThatAreNoJsonAreAFailedAttempt", [](IsolationCase& t) {
    for (const std::string& payload :
         {std::string("{\"a\":"), std::string("\xff\xfe"), std::string("a\0b", 3)}) {
      const Outcome out = t.run("conformance.echo", payload);
      EXPECT_EQ(out.klass, OutcomeClass::kFailed);
      EXPECT_FALSE(out.error.message.empty());
    }
    t.expect_alive();
  });

  cases.add("Fail_SnoozeDiscardAndRetryInPassThrough", [](IsolationCase& t) {
    const Outcome snoozed = t.run("conformance.snooze");
    EXPECT_EQ(snoozed.klass, OutcomeClass::kSnoozed);
    EXPECT_EQ(snoozed.error.code, Code::kSnoozed);
    EXPECT_EQ(snoozed.error.retry_in, 90s);
    const Outcome discarded = t.run("conformance.discard");
    EXPECT_EQ(discarded.klass, OutcomeClass::kDiscarded);
    EXPECT_EQ(discarded.error.code, Code::kDiscarded);
    EXPECT_EQ(discarded.error.message, "no such user");
    const Outcome later = t.run("conformance.retry_in");
    EXPECT_EQ(later.klass, OutcomeClass::kFailed);
    EXPECT_EQ(later.error.retry_in, 30s);
    EXPECT_EQ(later.error.message, "rate limited");
  });

  cases.add("Fail_ACrashIsContained", [](IsolationCase& t) {
    if (!t.traits().contains_crash) GTEST_SKIP() << "isolation has no contains_crash";
    Outcome out = t.run("conformance.abort");
    EXPECT_EQ(out.klass, OutcomeClass::kCrashed);
    EXPECT_EQ(out.signal, SIGABRT);
    t.expect_alive();
    out = t.run("conformance.segv");
    EXPECT_EQ(out.klass, OutcomeClass::kCrashed);
    EXPECT_EQ(out.signal, SIGSEGV);
    t.expect_alive();
    out = t.run("conformance.exit");
    EXPECT_EQ(out.klass, OutcomeClass::kProtocolError) << "it ended without a result";
    t.expect_alive();
  });
}

void add_many_cases(IsolationCases& cases) {
  cases.add("Start_64AtOnceInOneCall", [](IsolationCase& t) {
    constexpr std::size_t kTasks = 64;
    std::vector<Task> tasks;
    std::vector<std::shared_ptr<Listener>> listeners;
    for (std::size_t i = 0; i < kTasks; ++i) {
      Claimed job;
      job.lease = {JobId{1'000 + i}, Fence{1}};
      job.queue = "default";
      job.kind = "conformance.echo";
      job.payload = std::to_string(i);
      listeners.push_back(std::make_shared<Listener>());
      tasks.push_back(
          {std::make_shared<const Claimed>(std::move(job)), Limits{}, listeners.back()});
    }
    const auto answers = t.isolation().start(tasks);
    ASSERT_EQ(answers.size(), kTasks);
    for (std::size_t i = 0; i < kTasks; ++i) {
      ASSERT_TRUE(answers[i].has_value()) << answers[i].error().message;
      EXPECT_EQ(listeners[i]->wait_end().result, std::to_string(i));
      listeners[i]->expect_orderly();
    }
  });

  cases.add("Start_NothingIsNothing", [](IsolationCase& t) {
    EXPECT_THAT(t.isolation().start({}), ElementsAre());
  });

  cases.add("Start_AKindThatItWasNotToldOfFailsOneTask", [](IsolationCase& t) {
    const Started stranger = t.start("nobody.knows.it");
    if (!stranger.refused) {
      const Outcome out = stranger.listener->wait_end();
      EXPECT_NE(out.klass, OutcomeClass::kOk);
      EXPECT_THAT(out.error.message, HasSubstr("nobody.knows.it"));
    } else {
      EXPECT_THAT(stranger.refused->message, HasSubstr("nobody.knows.it"));
      EXPECT_FALSE(stranger.listener->ended()) << "refused, and yet it ended";
    }
    t.expect_alive();
  });
}

}  // namespace

void add_handler_cases(IsolationCases& cases) {
  add_result_cases(cases);
  add_failure_cases(cases);
  add_many_cases(cases);
}

}  // namespace carrel::conformance
