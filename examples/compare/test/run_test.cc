// The program itself, as a user runs it.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "comparison.h"

namespace compare {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

#ifdef WITH_SQL
constexpr bool kWithSql = true;
#else
constexpr bool kWithSql = false;
#endif

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++n;
  return n;
}

class Run : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "compare-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Its exit code; what it printed is in the file "out".
  int compare(const std::string& arguments) {
    const std::string command = "cd '" + folder_.string() +
                                "' && COLUMNS=100 '" COMPARE_PROGRAM "' " + arguments +
                                " >out 2>&1 </dev/null";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string out() { return text_of(folder_ / "out"); }

  // One queue, store and concurrency; `isolations` as TOML.
  void write_plan(const std::string& isolations, const std::string& rest = "") {
    std::ofstream(folder_ / "plan.toml") << R"(baseline = "mutex"
concurrency = [4]
[work]
dictionary = "words"
fallback = "words"
setting = "$1$carrel01$"
words_per_job = 8
jobs = 40
latency_jobs = 10
timeout_seconds = 30
[[queue]]
name = "memory"
url = "memory:"
[[store]]
name = "memory"
url = "memory:"
)" << isolations << rest;
    fs::copy_file(COMPARE_FOLDER "/words.txt", folder_ / "words");
  }

  fs::path folder_;
};

TEST_F(Run, QuickMeasuresEveryCombinationAndWritesEveryForm) {
  ASSERT_EQ(compare("--quick --json r.json --html r.html --markdown r.md"), 0) << out();
  const auto json = nlohmann::json::parse(text_of(folder_ / "r.json"));
  EXPECT_EQ(json.at("ok"), true);
  const auto plan = read_plan(COMPARE_FOLDER "/compare.toml", true);
  ASSERT_TRUE(plan.has_value());
  const auto expected = combinations(*plan);
  const auto comparison = json.get<Comparison>();
  ASSERT_EQ(comparison.outcomes.size(), expected.size());
  std::set<std::string> measured_pairs;
  for (const Outcome& o : comparison.outcomes) {
    SCOPED_TRACE(pair_name(o) + " " + o.isolation + " " + std::to_string(o.concurrency));
    const bool durable = o.store == "sqlite";
    if (durable ? !kWithSql : o.queue == "sqlite") {
      EXPECT_EQ(o.status, Status::kRefused);
      EXPECT_NE(o.reason, "");
      continue;
    }
    ASSERT_EQ(o.status, Status::kMeasured) << o.reason;
    measured_pairs.insert(pair_name(o));
    const Measured& m = o.measured;
    EXPECT_EQ(m.jobs, plan->jobs + plan->latency_jobs + o.concurrency);
    EXPECT_EQ(m.hashes, m.jobs * plan->words_per_job);
    EXPECT_EQ(m.wrong > 0, o.isolation == "thread" && o.concurrency > 1);
    EXPECT_GT(m.jobs_per_second, 0);
    EXPECT_GT(o.to_baseline, 0);
    EXPECT_GT(m.p50_ms, 0);
    EXPECT_GE(m.p99_ms, m.p50_ms);
    EXPECT_GT(m.cpu_host_s, 0);
    EXPECT_GT(m.peak_host_bytes, 0U);
    const bool children = o.isolation == "fork" || o.isolation == "exec";
    // A job's hashing alone is far more than nothing: the children's time was seen.
    EXPECT_EQ(m.cpu_children_s > 0.01, children);
    EXPECT_EQ(m.peak_child_bytes > 0, children);
  }
  EXPECT_EQ(measured_pairs.size(), kWithSql ? 3U : 1U);

  const std::string html = text_of(folder_ / "r.html");
  EXPECT_EQ(count(html, "<figure>"), 5 * measured_pairs.size());
  EXPECT_EQ(count(html, "<svg viewBox=\"0 0 360"), 5 * measured_pairs.size());
  EXPECT_THAT(text_of(folder_ / "r.md"), HasSubstr("| queue × store |"));
  EXPECT_EQ(count(out(), "refused: "), kWithSql ? 1U : 3U) << out();
  for (const std::string& pair : measured_pairs) EXPECT_THAT(out(), HasSubstr(pair));

  // The same tables again, from the file.
  const std::string printed = out();
  ASSERT_EQ(compare("--from r.json --html again.html"), 0);
  EXPECT_EQ(out(), printed);
  EXPECT_EQ(text_of(folder_ / "again.html"), html);
}

TEST_F(Run, FailsWhereHashesAreNotAsTheyMustBe) {
  write_plan(R"(
[[isolation]]
name = "mutex"
wrong = "some"
[[isolation]]
name = "thread"
wrong = "none"
)");
  const std::string met = "✗ memory × memory, thread, 4 at once: ";
  // Whether threads meet in crypt(3) is up to the scheduler: on a busy machine all of a
  // run's may miss each other.
  constexpr int kRuns = 20;
  for (int run = 0; run < kRuns && count(out(), met) == 0; ++run) {
    ASSERT_EQ(compare("--config plan.toml"), 1) << out();
    EXPECT_THAT(out(),
                HasSubstr("✗ memory × memory, mutex, 4 at once: no hash was wrong"));
  }
  EXPECT_THAT(out(), HasSubstr(met));
}

TEST_F(Run, FailsWhereJobsFail) {
  write_plan(R"(
[[isolation]]
name = "mutex"
wrong = "none"
[[isolation]]
name = "exec"
wrong = "none"
job = { command = ["/bin/false"] }
)");
  EXPECT_EQ(compare("--config plan.toml --json r.json"), 1) << out();
  const auto json = nlohmann::json::parse(text_of(folder_ / "r.json"));
  const auto& exec = json.at("combinations").at(1);
  EXPECT_EQ(exec.at("wrong"), exec.at("hashes"));
}

TEST_F(Run, AnOwnCombinationNeedsOnlyTheFile) {
  write_plan(R"(
[[isolation]]
name = "mutex"
wrong = "none"
[[isolation]]
name = "another lock"
wrong = "none"
job = { isolation = "mutex", timeout = "10s" }
)");
  EXPECT_EQ(compare("--config plan.toml"), 0) << out();
  EXPECT_THAT(out(), HasSubstr("another lock"));
}

TEST_F(Run, BadInputIsOneClearLine) {
  write_plan("[[isolation]]\nname = \"mutex\"\nwrong = \"none\"\n", "oops = 1\n");
  EXPECT_EQ(compare("--config plan.toml"), 2);
  EXPECT_THAT(out(), HasSubstr("plan.toml:20: unknown key \"oops\" in [[isolation]]"));
  EXPECT_EQ(compare("--config nowhere.toml"), 2);
  EXPECT_THAT(out(), HasSubstr("cannot read nowhere.toml"));
  EXPECT_EQ(compare("--from plan.toml"), 2);
  EXPECT_THAT(out(), HasSubstr("is not what --json writes"));
  EXPECT_EQ(compare("--no-such-option"), 2);
}

TEST_F(Run, ASettingThatCryptDoesNotKnowIsRefused) {
  write_plan("[[isolation]]\nname = \"mutex\"\nwrong = \"none\"\n");
  std::string plan = text_of(folder_ / "plan.toml");
  plan.replace(plan.find("$1$carrel01$"), 12, "$nonsense$");
  std::ofstream(folder_ / "plan.toml") << plan;
  EXPECT_EQ(compare("--config plan.toml"), 2);
  EXPECT_THAT(out(), HasSubstr("work.setting"));
}

}  // namespace
}  // namespace compare
