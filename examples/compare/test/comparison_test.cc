// The verdict, and the forms that a comparison is shown in.
#include "comparison.h"

#include <gmock/gmock.h>
#include <report/terminal.h>
#include <report/text.h>

#include "hashing.h"
#include "page.h"
#include "tables.h"

namespace compare {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

Outcome measured_outcome(const std::string& isolation, std::size_t concurrency,
                         std::size_t wrong) {
  Outcome o{"memory",
            "memory",
            isolation,
            concurrency,
            isolation == "thread" ? Expect::kSomeWrong : Expect::kNoneWrong,
            Status::kMeasured,
            {},
            {},
            0};
  o.measured = {100.0 * static_cast<double>(concurrency),
                1.5,
                3,
                0.5,
                0.25,
                10 << 20,
                1 << 20,
                300,
                4800,
                wrong};
  return o;
}

Comparison good() {
  Comparison c;
  c.facts.date = "2025-01-31T10:00:00+0100";
  c.work = "Hashing <words> & more.";
  c.baseline = "mutex";
  c.command = "examples/run compare --quick";
  for (std::size_t n : {1, 4}) {
    c.outcomes.push_back(measured_outcome("thread", n, n > 1 ? 4000 : 0));
    c.outcomes.push_back(measured_outcome("mutex", n, 0));
    c.outcomes.push_back(measured_outcome("fork", n, 0));
  }
  c.outcomes[1].measured.jobs_per_second = 50;
  set_ratios(c);
  return c;
}

TEST(Judge, IsContentWhenOnlySharedBuffersSpoil) {
  EXPECT_THAT(judge(good()), IsEmpty());
}

TEST(Judge, MissesTheWrongHashesOfPlainThreads) {
  Comparison c = good();
  c.outcomes[3].measured.wrong = 0;
  EXPECT_THAT(judge(c), SizeIs(1));
}

TEST(Judge, RefusesAWrongHashAnywhereElse) {
  for (std::size_t i : {0, 1, 2, 4, 5}) {
    Comparison c = good();
    c.outcomes[i].measured.wrong = 1;
    EXPECT_THAT(judge(c), SizeIs(1)) << i;
  }
}

TEST(Judge, RefusesAFailureAndAnEmptyRun) {
  Comparison c = good();
  c.outcomes[2].status = Status::kFailed;
  c.outcomes[2].reason = "it died";
  ASSERT_THAT(judge(c), SizeIs(1));
  EXPECT_THAT(judge(c)[0], HasSubstr("it died"));
  for (Outcome& o : c.outcomes) o.status = Status::kRefused;
  EXPECT_THAT(judge(c), SizeIs(1));
}

TEST(Comparison, MeasuresAgainstTheBaselineOfTheSameRows) {
  const Comparison c = good();
  EXPECT_DOUBLE_EQ(c.outcomes[0].to_baseline, 2);
  EXPECT_DOUBLE_EQ(c.outcomes[1].to_baseline, 1);
  EXPECT_DOUBLE_EQ(c.outcomes[3].to_baseline, 1);
}

TEST(Comparison, SurvivesJson) {
  Comparison c = good();
  c.outcomes[2].status = Status::kRefused;
  c.outcomes[2].reason = "no";
  const nlohmann::json json = c;
  EXPECT_EQ(json.at("ok"), true);
  EXPECT_EQ(nlohmann::json(json.get<Comparison>()), json);
}

TEST(Tables, SayWhyAPairWasRefusedOnce) {
  Comparison c = good();
  for (Outcome& o : c.outcomes) {
    o.status = Status::kRefused;
    o.reason = "reaches | further";
  }
  const report::Table table = full_table(c);
  ASSERT_THAT(table.sections, SizeIs(1));
  EXPECT_THAT(table.sections[0].rows, IsEmpty());
  EXPECT_THAT(table.sections[0].remark, HasSubstr("reaches | further"));
  EXPECT_THAT(report::markdown(table, "pair"), HasSubstr("reaches \\| further"));
}

TEST(Tables, FitTheTerminal) {
  const Comparison c = good();
  const auto heads = columns(c);
  for (std::size_t width : {80, 100, 120, 160}) {
    report::Terminal terminal;
    terminal.width = width;
    EXPECT_LE(report::width(report::head_line(terminal, heads)), width + 1) << width;
    for (const Outcome& o : c.outcomes) {
      const std::string line = report::row_line(terminal, heads, row(o));
      EXPECT_LE(report::width(line), width + 1) << line;
      EXPECT_THAT(line, HasSubstr(report::grouped(o.measured.wrong)));
    }
  }
  EXPECT_LT(report::fitting(heads, 80).size(), report::fitting(heads, 160).size());
  EXPECT_EQ(report::fitting(heads, 160).size(), heads.size());
}

TEST(Tables, ALongNameOfAnIsolationShiftsNoRow) {
  Comparison c = good();
  c.outcomes[1].isolation = c.outcomes[4].isolation = "mutex, 10 s";
  report::Terminal terminal;
  const std::size_t head = report::width(report::head_line(terminal, columns(c)));
  for (const Outcome& o : c.outcomes) {
    EXPECT_LE(report::width(report::row_line(terminal, columns(c), row(o))), head);
  }
}

TEST(Tables, MarkdownHasAsManyCellsInEveryRow) {
  const std::string text = report::markdown(full_table(good()), "queue × store");
  std::size_t bars = 0, rows = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line); ++rows) {
    const auto here = static_cast<std::size_t>(std::count(line.begin(), line.end(), '|'));
    if (bars == 0) bars = here;
    EXPECT_EQ(here, bars) << line;
  }
  EXPECT_EQ(rows, 2U + 6U);
}

TEST(Page, NeedsNothingButItself) {
  const std::string html = page(good());
  for (const char* outside : {"http:", "https:", "src=", "href=", "url(", "@import"}) {
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  }
  EXPECT_THAT(html, HasSubstr("Hashing &lt;words&gt; &amp; more."));
  EXPECT_THAT(html, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(html, HasSubstr("4,000"));
  EXPECT_THAT(html, HasSubstr("examples/run compare --quick"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST(Page, SaysWhatIsNotAsItMustBe) {
  Comparison c = good();
  c.outcomes[5].measured.wrong = 7;
  EXPECT_THAT(page(c), HasSubstr("7 of 4,800 hashes were wrong"));
}

TEST(Page, IsWrittenWhereNothingOrOnlyOneQueueWasMeasured) {
  Comparison c = good();
  c.outcomes.push_back(c.outcomes.front());
  c.outcomes.back().queue = "away";
  c.outcomes.back().status = Status::kFailed;
  c.outcomes.back().reason = "no such server";
  EXPECT_THAT(page(c), HasSubstr("<figcaption>memory × memory"));
  EXPECT_THAT(page(c), Not(HasSubstr("<figcaption>away × memory")));
  for (Outcome& o : c.outcomes) {
    o.status = Status::kFailed;
    o.reason = "no such server";
  }
  const std::string html = page(c);
  EXPECT_THAT(html, HasSubstr("no combination could be measured"));
  EXPECT_THAT(html, HasSubstr("no such server"));
  EXPECT_THAT(html, Not(HasSubstr("<figure>")));
}

TEST(Hashing, BothWaysAgreeInOneThread) {
  const HashJob job{"$1$carrel01$", {"apple", "birch", "cedar"}};
  EXPECT_EQ(hash_carelessly(job), hash_safely(job.setting, job.words));
  EXPECT_THAT(hash_safely("$nonsense$", {"apple"}), testing::ElementsAre(""));
}

}  // namespace
}  // namespace compare
