#include "compare.h"

#include <report/terminal.h>
#include <report/text.h>
#include <trial/child.h>
#include <trial/program.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>

#include "measure.h"
#include "show.h"

namespace grader {
namespace {

using report::Tone;

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

bool write_file(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  return static_cast<bool>(out.flush());
}

// kCancelled: interrupted.
carrel::Result<void> run_all(const Plan& plan, Report& report,
                             const report::Terminal& terminal) {
  std::vector<Trial> all = trials(plan);
  bool head[2] = {true, true};
  for (std::size_t i = 0; i < all.size(); ++i) {
    print(report::live_line(terminal, "trying " + std::to_string(i + 1) + " of " +
                                          std::to_string(all.size()) + ": " +
                                          name_of(all[i])));
    if (auto done = measure(plan, i + 1, all[i]); !done) return done;
    report.trials.push_back(all[i]);
    print(report::live_line(terminal, ""));
    const bool order = !all[i].order.empty();
    const auto shown = order ? order_columns() : columns();
    if (head[order]) {
      print("\n" +
            report::title_line(terminal, order ? "pulls among pushes" : "every way") +
            report::head_line(terminal, shown));
    }
    head[order] = false;
    print(report::row_line(terminal, shown, order ? order_row(all[i]) : row(all[i])));
  }
  return {};
}

void close(const Report& report, const report::Terminal& terminal) {
  std::string text = "\n" + report::title_line(terminal, "What escaped");
  const report::Table table = escapes(report);
  text += report::head_line(terminal, table.columns);
  for (const report::Row& line : table.sections[0].rows) {
    text += report::row_line(terminal, table.columns, line);
  }
  text += "\n" + report::title_line(terminal, "What came out");
  for (const std::string& finding : findings(report)) {
    text += report::paragraph(terminal, finding);
  }
  const auto violations = judge(report);
  for (const std::string& violation : violations) {
    text += report::paragraph(terminal, "✗ " + violation, 0, Tone::kBad);
  }
  if (const std::string missing = skipped(report); !missing.empty()) {
    text += report::paragraph(terminal, "– The sandbox was skipped: " + missing, 0,
                              Tone::kBad);
  } else if (violations.empty()) {
    text += report::paragraph(
        terminal,
        "✓ As it must be: in the sandbox every verdict is right and nothing escaped, and "
        "no push started while a pull waited. " +
            report::fixed(report.seconds, 0) + " s in all.",
        0, Tone::kGood);
  }
  print(text);
}

std::string work_line(const std::vector<Listed>& listed, const Plan& plan) {
  const auto hostile = std::count_if(listed.begin(), listed.end(),
                                     [](const Listed& one) { return one.hostile(); });
  const auto withheld =
      std::count_if(listed.begin(), listed.end(),
                    [](const Listed& one) { return !one.withheld.empty(); });
  return std::to_string(listed.size()) + " submissions in Python, C++ and shell, " +
         std::to_string(hostile) + " of them hostile, " + std::to_string(plan.at_once) +
         " graded at once. What runs without a sandbox is bounded by the example, and " +
         std::to_string(withheld) + " are withheld from that.";
}

Plan plan_of(const CompareOptions& options) {
  Plan plan;
  for (const std::string& url : options.stores) {
    plan.stores.emplace_back(url.substr(0, url.find(':')), url);
  }
  plan.files = options.files;
  plan.at_once = options.at_once;
  plan.rounds = options.rounds;
  plan.wall_s = options.wall_s;
  return plan;
}

}  // namespace

int complain(const std::string& message, int code) {
  std::fprintf(stderr, "grader: %s\n", message.c_str());
  return code;
}

int compare(const CompareOptions& options) {
  const Plan plan = plan_of(options);
  const auto listed = read_manifest(std::filesystem::path(options.files) / "submissions");
  if (!listed) return complain(listed.error().message, kBadInput);
  if (auto ok = trial::check({options.json, options.html}, options.stores); !ok) {
    return complain(ok.error().message, kBadInput);
  }
  trial::become_reaper();
  Report report;
  report.facts = report::read_facts();
  report.work = work_line(*listed, plan);
  report.command = options.command;
  report.quick = options.quick;
  const auto terminal = report::Terminal::of(STDOUT_FILENO);
  print(report::paragraph(terminal, report.work));
  const auto start = std::chrono::steady_clock::now();
  if (auto done = run_all(plan, report, terminal); !done) {
    return complain(done.error().message, done.error().code == carrel::Code::kCancelled
                                              ? kInterrupted
                                              : kBadInput);
  }
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  close(report, terminal);
  if (!options.json.empty() &&
      !write_file(options.json, nlohmann::json(report).dump(2) + "\n")) {
    return complain("cannot write " + options.json, kBadInput);
  }
  if (!options.html.empty() && !write_file(options.html, page(report))) {
    return complain("cannot write " + options.html, kBadInput);
  }
  if (!judge(report).empty()) return kNotAsItMust;
  return skipped(report).empty() ? kOk : kSkipped;
}

}  // namespace grader
