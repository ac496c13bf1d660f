// What a student is told, from how a program ended; and that the list is what it says.
#include "verdict.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "grade.h"
#include "problem.h"
#include "submission.h"

namespace grader {
namespace {

using carrel::OutcomeClass;

std::string verdict_of(OutcomeClass klass, std::uint64_t resident = 0) {
  Ran ran;
  ran.klass = klass;
  ran.usage.max_rss_bytes = resident;
  const auto verdict = trouble_of(ran, kMemory);
  return verdict ? std::string(to_string(*verdict)) : "";
}

TEST(Verdict, FollowsFromHowTheProgramEnded) {
  EXPECT_EQ(verdict_of(OutcomeClass::kOk), "");
  EXPECT_EQ(verdict_of(OutcomeClass::kExitNonzero), "RE");
  EXPECT_EQ(verdict_of(OutcomeClass::kSignaled), "RE");
  EXPECT_EQ(verdict_of(OutcomeClass::kCpuTimeout), "TLE");
  EXPECT_EQ(verdict_of(OutcomeClass::kWallTimeout), "TLE");
  EXPECT_EQ(verdict_of(OutcomeClass::kOutputLimit), "OLE");
  EXPECT_EQ(verdict_of(OutcomeClass::kFsizeLimit), "OLE");
}

TEST(Verdict, MemoryIsToldFromTheGroupOrFromWhatWasResident) {
  EXPECT_EQ(verdict_of(OutcomeClass::kMemoryLimit), "MLE");
  EXPECT_EQ(verdict_of(OutcomeClass::kSignaled, kMemory + 1), "MLE");
  EXPECT_EQ(verdict_of(OutcomeClass::kOk, kMemory + 1), "MLE");
  EXPECT_EQ(verdict_of(OutcomeClass::kExitNonzero, kMemory), "RE");
  EXPECT_EQ(verdict_of(OutcomeClass::kCpuTimeout, kMemory + 1), "MLE");
  EXPECT_EQ(verdict_of(OutcomeClass::kCpuTimeout, kMemory), "TLE");
}

TEST(Verdict, WhatFailsForOurReasonsIsNobodysVerdict) {
  for (const auto klass : {OutcomeClass::kWorkerLost, OutcomeClass::kSandboxUnavailable,
                           OutcomeClass::kResourceError, OutcomeClass::kSpawnError,
                           OutcomeClass::kCancelled}) {
    EXPECT_TRUE(is_ours(klass)) << carrel::to_string(klass);
  }
  EXPECT_FALSE(is_ours(OutcomeClass::kExitNonzero));
}

TEST(Output, BlanksAtTheEndOfALineAndEmptyLinesAtTheEndDoNotCount) {
  EXPECT_TRUE(same_output("1 a\n2 b\n", "1 a  \r\n2 b\n\n\n"));
  EXPECT_TRUE(same_output("6\n", "6"));
  EXPECT_TRUE(same_output("", "\n"));
  EXPECT_FALSE(same_output("6\n", " 6\n"));
  EXPECT_FALSE(same_output("6\n", "\"6\"\n"));
  EXPECT_FALSE(same_output("1\n2\n", "1\n"));
  EXPECT_FALSE(same_output("1\n2\n", "1\n\n2\n"));
  EXPECT_FALSE(same_output("6\n", ""));
}

// One bench that answers as it is told.
class ToldBench final : public Bench {
 public:
  carrel::Result<Ran> compile() override { return compiled; }
  carrel::Result<Ran> run(const std::string& input) override {
    Ran ran;
    ran.output = input == "1" ? "one" : "2";
    return ran;
  }
  Ran compiled;
};

TEST(Grading, EndsAtTheFirstTestThatFails) {
  ToldBench bench;
  const Problem right{"p", {{"a", "1", "one\n"}, {"b", "2", "2\n"}}};
  EXPECT_EQ(grade(right, bench)->verdict, "AC");
  const Problem wrong{"p", {{"a", "1", "one\n"}, {"b", "2", "two"}, {"c", "1", "x"}}};
  const auto graded = grade(wrong, bench);
  EXPECT_EQ(graded->verdict, "WA");
  EXPECT_EQ(graded->test, "b");
  EXPECT_EQ(graded->output, "2");
}

TEST(Grading, WhatDoesNotCompileIsNotRun) {
  ToldBench bench;
  bench.compiled.klass = OutcomeClass::kCpuTimeout;
  bench.compiled.complaint = "\xff not text";
  const auto graded = grade({"p", {{"a", "1", "x"}}}, bench);
  EXPECT_EQ(graded->verdict, "CE");
  EXPECT_NO_THROW(std::ignore = nlohmann::json(*graded).dump());
}

TEST(List, FortyShipAndADozenAreHostile) {
  const auto listed = read_manifest(std::filesystem::path(GRADER_FILES) / "submissions");
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->size(), 40u);
  EXPECT_GE(std::count_if(listed->begin(), listed->end(),
                          [](const Listed& one) { return one.hostile(); }),
            12);
  for (const Listed& one : *listed) {
    const auto problem = load_problem(std::filesystem::path(GRADER_FILES) / "problems",
                                      one.submission.problem);
    EXPECT_TRUE(problem) << problem.error().message;
  }
}

TEST(List, WhatIsMissingOrLeadsElsewhereIsNamed) {
  EXPECT_NE(read_submission("/no/such.py", "sum").error().message.find("/no/such.py"),
            std::string::npos);
  EXPECT_EQ(read_submission("/etc/passwd", "sum").error().code, carrel::Code::kInvalid);
  EXPECT_EQ(load_problem(GRADER_FILES, "../grader").error().code, carrel::Code::kInvalid);
  EXPECT_EQ(load_problem(GRADER_FILES, "nowhere").error().code, carrel::Code::kNotFound);
}

}  // namespace
}  // namespace grader
