#include "results.h"

#include <report/text.h>

namespace grader {
namespace {

void judge_rows(const Trial& trial, std::vector<std::string>& out) {
  const auto say = [&](const std::string& what) {
    out.push_back(name_of(trial) + ": " + what);
  };
  for (const Row& row : trial.result.rows) {
    const std::string got = row.grade.verdict.empty() ? row.error : row.grade.verdict;
    if (got != row.right) {
      say(row.name + " should be " + row.right + " and is " + got +
          (row.grade.message.empty() ? "" : ": " + row.grade.message));
    }
    if (row.escape.any()) say(row.name + " escaped: it " + words_of(row.escape));
  }
  for (const std::string& what : trial.result.left) say("left behind: " + what);
}

void judge_order(const Trial& trial, std::vector<std::string>& out) {
  const Waits& waits = trial.result.waits;
  if (trial.order == "strict" && waits.overtaken > 0) {
    out.push_back(name_of(trial) + ": " + std::to_string(waits.overtaken) +
                  " pushes started while a pull waited, the longest for " +
                  report::brief(waits.longest_ms) + " ms");
  }
  if (trial.order == "mixed" && waits.overtaken == 0) {
    out.push_back(name_of(trial) +
                  ": no push started while a pull waited: the example shows nothing");
  }
}

}  // namespace

double Trial::per_second() const {
  return result.seconds > 0 ? static_cast<double>(result.graded) / result.seconds : 0;
}

std::size_t Trial::right() const {
  std::size_t count = 0;
  for (const Row& row : result.rows) {
    if (row.withheld.empty() && row.grade.verdict == row.right) ++count;
  }
  return count;
}

std::size_t Trial::graded() const {
  std::size_t count = 0;
  for (const Row& row : result.rows) count += row.withheld.empty() ? 1 : 0;
  return count;
}

std::size_t Trial::escaped() const {
  std::size_t count = 0;
  for (const Row& row : result.rows) count += row.escape.any() ? 1 : 0;
  return count;
}

std::string name_of(const Trial& trial) {
  return trial.way + ", " + trial.store +
         (trial.order.empty() ? "" : ", " + trial.order + " order");
}

std::string skipped(const Report& report) {
  for (const Trial& trial : report.trials) {
    if (!trial.result.skipped.empty()) return trial.result.skipped;
  }
  return {};
}

std::vector<std::string> judge(const Report& report) {
  std::vector<std::string> out;
  std::size_t bare = 0, escaped = 0;
  for (const Trial& trial : report.trials) {
    if (!trial.result.skipped.empty()) continue;
    if (!trial.ran()) {
      out.push_back(name_of(trial) + ": " +
                    (trial.died.empty() ? trial.result.error : trial.died));
    } else if (!trial.order.empty()) {
      judge_order(trial, out);
    } else if (trial.way == "sandbox") {
      judge_rows(trial, out);
    } else {
      ++bare;
      escaped += trial.escaped();
    }
  }
  if (bare > 0 && escaped == 0) {
    out.push_back("nothing escaped where there is no sandbox: the example shows nothing");
  }
  return out;
}

void to_json(nlohmann::json& j, const Trial& t) {
  j = {
      {"way", t.way},       {"store", t.store},     {"order", t.order},
      {"died", t.died},     {"result", t.result},   {"grades_per_second", t.per_second()},
      {"right", t.right()}, {"graded", t.graded()}, {"escaped", t.escaped()}};
}

void to_json(nlohmann::json& j, const Report& r) {
  const report::Facts& f = r.facts;
  j = {{"machine",
        {{"date", f.date},
         {"processor", f.processor},
         {"cores", f.cores},
         {"memory_bytes", f.memory_bytes},
         {"system", f.system},
         {"kernel", f.kernel},
         {"compiler", f.compiler},
         {"build", f.build}}},
       {"work", r.work},
       {"quick", r.quick},
       {"seconds", r.seconds},
       {"skipped", skipped(r)},
       {"trials", r.trials},
       {"violations", judge(r)}};
}

}  // namespace grader
