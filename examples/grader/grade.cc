#include "grade.h"

#include <algorithm>

namespace grader {
namespace {

// JSON takes UTF-8 only, and a student's program prints what it likes.
std::string readable(const std::string& text) {
  constexpr std::size_t kMost = 2048;
  const std::string json =
      nlohmann::json(text.substr(0, kMost))
          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(json);
}

void account(const Ran& ran, Grade& grade) {
  grade.cpu_ms += static_cast<double>(ran.usage.cpu.count()) / 1e3;
  grade.peak_mib =
      std::max(grade.peak_mib, static_cast<double>(ran.usage.max_rss_bytes) / (1 << 20));
  grade.leftovers = grade.leftovers || ran.leftovers;
  grade.enforced = ran.enforced;
}

Grade& tell(Grade& grade, Verdict verdict, const Ran& ran) {
  grade.verdict = to_string(verdict);
  grade.message = readable(ran.message.empty() || ran.complaint.empty()
                               ? ran.message + ran.complaint
                               : ran.message + "\n" + ran.complaint);
  grade.output = readable(ran.output);
  return grade;
}

}  // namespace

carrel::Result<Grade> grade(const Problem& problem, Bench& bench) {
  const auto compiled = bench.compile();
  if (!compiled) return tl::unexpected<carrel::Error>(compiled.error());
  Grade grade;
  // A compiler may need more memory than a submission, so only its end counts.
  if (compiled->klass != carrel::OutcomeClass::kOk) {
    grade.leftovers = compiled->leftovers;
    grade.enforced = compiled->enforced;
    return tell(grade, Verdict::kCompileError, *compiled);
  }
  for (const Test& test : problem.tests) {
    const auto ran = bench.run(test.input);
    if (!ran) return tl::unexpected<carrel::Error>(ran.error());
    account(*ran, grade);
    auto verdict = trouble_of(*ran, kMemory);
    if (!verdict && !same_output(test.output, ran->output)) {
      verdict = Verdict::kWrongAnswer;
    }
    if (!verdict) continue;
    grade.test = test.name;
    return tell(grade, *verdict, *ran);
  }
  grade.verdict = to_string(Verdict::kAccepted);
  return grade;
}

}  // namespace grader
