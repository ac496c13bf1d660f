// Runs of programs: lines for /bin/sh, and what cannot be started at all.
#include <gmock/gmock.h>

#include <cerrno>
#include <csignal>

#include "isolation_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

void add_output_cases(IsolationCases& cases) {
  cases.add("Program_StdinIsThePayloadAndStdoutTheResult", [](IsolationCase& t) {
    const std::string args = R"({"text":"grüße, 🙂","n":[1,2]})";
    const Outcome out = t.run("conformance.cat", args);
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(Json::parse(out.result), Json::parse(args));
    EXPECT_GT(out.usage.wall, 0us);
  });

  cases.add("Program_LargeInputAndOutputDoNotBlockEachOther", [](IsolationCase& t) {
    Limits limits;
    limits.result_bytes = 4 << 20;
    const std::string big = Json(std::string(2 << 20, 'y')).dump();
    const Outcome out = t.run("conformance.cat", big, limits);
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_TRUE(out.result == big);
  });

  cases.add("Program_MayIgnoreItsInput", [](IsolationCase& t) {
    const Outcome out = t.run("conformance.true", std::string(1 << 20, ' '));
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(out.result, "");
  });

  cases.add("Program_OutputPastTheLimitIsTooLarge", [](IsolationCase& t) {
    Limits limits;
    limits.result_bytes = 100'000;
    const Outcome out = t.run("conformance.flood", "", limits);
    EXPECT_NE(out.klass, OutcomeClass::kOk);
    EXPECT_EQ(out.error.code, Code::kTooLarge);
    EXPECT_THAT(out.error.message, HasSubstr("100000"));
    EXPECT_EQ(out.result, "");
    t.expect_alive();
  });

  cases.add("Program_Descriptor3TakesProgressAndLog", [](IsolationCase& t) {
    const Started s = t.start("conformance.talk");
    ASSERT_FALSE(s.refused);
    EXPECT_EQ(s.listener->wait_end().result, "\"said\"");
    std::vector<std::string> heard = s.listener->heard();
    std::erase(heard, "start");
    EXPECT_THAT(heard, ElementsAre("progress 0.25 a quarter «ä»", "log half way",
                                   "progress 1.00 done", "end"));
  });

  cases.add("Program_KnowsItsJobByTheEnvironment", [](IsolationCase& t) {
    Claimed job;
    job.lease = {JobId{(std::uint64_t{1} << 40) + 3}, Fence{77}};
    job.queue = "images";
    job.attempt = 4;
    job.max_attempts = 9;
    const Outcome out = t.run("conformance.environment", "", {}, job);
    ASSERT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    EXPECT_EQ(
        Json::parse(out.result),
        Json::array({std::to_string(value(job.lease.id)), "77", "conformance.environment",
                     "images", "4", "9", "from the kind"}));
  });
}

void add_end_cases(IsolationCases& cases) {
  cases.add("Program_AnExitCodeFailsTheAttempt", [](IsolationCase& t) {
    const Outcome out = t.run("conformance.exit7");
    EXPECT_EQ(out.klass, OutcomeClass::kExitNonzero);
    EXPECT_EQ(out.exit_code, 7);
    EXPECT_EQ(out.result, "");
    EXPECT_EQ(out.stderr_tail, "oops\n");
    EXPECT_FALSE(out.error.message.empty());
  });

  cases.add("Program_ASignalFailsTheAttempt", [](IsolationCase& t) {
    const Outcome out = t.run("conformance.segv");
    EXPECT_EQ(out.klass, OutcomeClass::kSignaled);
    EXPECT_EQ(out.signal, SIGSEGV);
  });

  cases.add("Program_TheTailOfStderrIsKept", [](IsolationCase& t) {
    const Outcome out = t.run("conformance.complain");
    EXPECT_EQ(out.klass, OutcomeClass::kExitNonzero);
    EXPECT_LE(out.stderr_tail.size(), 4'096U);
    EXPECT_GE(out.stderr_tail.size(), 3'500U);
    EXPECT_THAT(out.stderr_tail, EndsWith("complaint 2999\n"));
  });

  cases.add("Program_ThatIsNotThereIsASpawnError", [](IsolationCase& t) {
    const Outcome missing = t.run("conformance.missing");
    EXPECT_EQ(missing.klass, OutcomeClass::kSpawnError);
    EXPECT_EQ(missing.error.native, ENOENT);
    EXPECT_THAT(missing.error.message, HasSubstr("/nonexistent/program"));
    const Outcome text = t.run("conformance.not_executable");
    EXPECT_EQ(text.klass, OutcomeClass::kSpawnError);
    EXPECT_EQ(text.error.native, EACCES);
    t.expect_alive();
  });

  cases.add("Program_64AtOnce", [](IsolationCase& t) {
    std::vector<Started> runs;
    runs.reserve(64);
    for (int i = 0; i < 64; ++i) {
      runs.push_back(t.start("conformance.cat", std::to_string(i)));
    }
    for (int i = 0; i < 64; ++i) {
      const Started& s = runs[static_cast<std::size_t>(i)];
      ASSERT_FALSE(s.refused) << s.refused->message;
      EXPECT_EQ(s.listener->wait_end().result, std::to_string(i));
    }
  });
}

void add_program_stop_cases(IsolationCases& cases) {
  cases.add("Program_ThatHeedsTermIsCancelled", [](IsolationCase& t) {
    const Started s = t.start("conformance.heed_term");
    ASSERT_TRUE(s.run);
    s.listener->wait_progress();
    s.run->request_stop(StopReason::kCancel);
    s.run->terminate();
    EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kCancelled);
    t.expect_alive();
  });

  cases.add("Program_ThatIgnoresTermIsKilled", [](IsolationCase& t) {
    if (!t.traits().can_kill) GTEST_SKIP() << "isolation has no can_kill";
    const Started s = t.start("conformance.ignore_term");
    ASSERT_TRUE(s.run);
    s.listener->wait_progress();
    s.run->request_stop(StopReason::kTimeout);
    EXPECT_TRUE(s.run->terminate());
    EXPECT_FALSE(s.listener->ended());
    EXPECT_TRUE(s.run->kill());
    EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kWallTimeout);
    t.expect_alive();
  });

  cases.add("Program_CallsAfterTheEndDoNothing", [](IsolationCase& t) {
    const Started s = t.start("conformance.cat", "1");
    ASSERT_TRUE(s.run);
    EXPECT_EQ(s.listener->wait_end().klass, OutcomeClass::kOk);
    s.run->request_stop(StopReason::kTimeout);
    s.run->terminate();
    s.run->kill();
    s.run->abandon();
    EXPECT_EQ(t.isolation().stuck(), 0U);
    t.expect_alive();
  });

  cases.add("Program_AGrandchildThatHoldsThePipeDoesNotHoldUpTheEnd",
            [](IsolationCase& t) {
              Limits limits;
              limits.drain_grace = 50ms;
              // The grandchild would sleep for an hour; the case has a minute.
              const Outcome out = t.run("conformance.grandchild", "", limits);
              EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
              EXPECT_EQ(out.result, "\"parent\"");
              t.expect_alive();
            });
}

}  // namespace

std::map<std::string, std::vector<std::string>> conformance_programs() {
  const auto shell = [](const char* line) {
    return std::vector<std::string>{"/bin/sh", "-c", line};
  };
  return {
      {"conformance.cat", {"cat"}},
      {"conformance.true", shell("exit 0")},
      {"conformance.flood", shell("head -c 300000 /dev/zero | tr '\\0' x")},
      {"conformance.talk", shell("echo 'progress 0.25 a quarter «ä»' >&3\n"
                                 "echo 'log half way' >&3\n"
                                 "echo 'progress 1 done' >&3\n"
                                 "echo said")},
      {"conformance.environment",
       shell(
           "printf '[\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\",\"%s\"]' "
           "\"$CARREL_JOB_ID\" \"$CARREL_JOB_FENCE\" \"$CARREL_JOB_KIND\" "
           "\"$CARREL_JOB_QUEUE\" "
           "\"$CARREL_JOB_ATTEMPT\" \"$CARREL_JOB_MAX_ATTEMPTS\" \"$CONFORMANCE_WORD\"")},
      {"conformance.exit7", shell("echo oops >&2; exit 7")},
      {"conformance.segv", shell("kill -SEGV $$")},
      {"conformance.complain",
       shell(
           "i=0; while [ $i -lt 3000 ]; do echo \"complaint $i\"; i=$((i+1)); done >&2; "
           "exit 1")},
      {"conformance.missing", {"/nonexistent/program"}},
      {"conformance.not_executable", {"/etc/passwd"}},
      {"conformance.heed_term",
       shell("trap 'exit 0' TERM; sleep 3600 & echo 'progress 0 begun' >&3; wait")},
      {"conformance.ignore_term",
       shell("trap '' TERM; echo 'progress 0 begun' >&3; while :; do sleep 3600; done")},
      {"conformance.grandchild", shell("sleep 3600 & echo parent")},
  };
}

void add_program_cases(IsolationCases& cases) {
  add_output_cases(cases);
  add_end_cases(cases);
  add_program_stop_cases(cases);
}

}  // namespace carrel::conformance
