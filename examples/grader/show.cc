#include "show.h"

#include <report/chart.h>
#include <report/page.h>
#include <report/text.h>
#include <trial/usage.h>

#include <algorithm>

namespace grader {
namespace {

using report::Align;
using report::grouped;
using report::Tone;

const char* const kWays[] = {"system", "fork", "exec", "sandbox"};

std::size_t style_of(const std::string& way) {
  return static_cast<std::size_t>(std::find(std::begin(kWays), std::end(kWays), way) -
                                  std::begin(kWays));
}

bool grades(const Trial& trial) { return trial.order.empty(); }

// The trial of that way on the first store; nullptr: none.
const Trial* trial_of(const Report& r, const char* way) {
  for (const Trial& t : r.trials) {
    if (t.way == way && grades(t) && t.ran()) return &t;
  }
  return nullptr;
}

template <class F>
std::size_t count_if(const Trial& t, F&& f) {
  return static_cast<std::size_t>(
      std::count_if(t.result.rows.begin(), t.result.rows.end(), f));
}

report::Cell count_cell(std::size_t count) {
  return {grouped(count), count > 0 ? Tone::kBad : Tone::kGood};
}

report::Row failed_row(const Trial& t, std::size_t columns) {
  report::Row row;
  row.cells = {{t.way, Tone::kStrong}, {t.store}, {"–"}};
  row.cells[2] = {t.result.skipped.empty() ? "failed" : "skipped", Tone::kBad};
  row.cells.resize(columns, {"–"});
  return row;
}

std::string ms(const std::vector<double>& sorted, double share) {
  return sorted.empty() ? "–" : report::brief(trial::percentile(sorted, share));
}

// One bar a way, of the first store's trials.
template <class F>
std::string chart(const Report& r, const std::string& what, F&& of) {
  std::vector<std::string> stores;
  std::vector<report::Bar> bars;
  double high = 0;
  for (const char* way : kWays) {
    const Trial* t = trial_of(r, way);
    if (t == nullptr) continue;
    stores = {t->store};
    const double y = of(*t);
    high = std::max(high, y);
    bars.push_back({way,
                    style_of(way),
                    {y},
                    {},
                    {name_of(*t) + ": " + report::brief(y) + " " + what}});
  }
  return report::bar_chart({what + " by way; the figures are in the table below", "store",
                            what, stores, high > 0 ? 0 : 1.0},
                           bars);
}

std::string wait_chart(const Report& r) {
  std::vector<std::string> stores;
  for (const Trial& t : r.trials) {
    if (t.order == "strict") stores.push_back(t.store);
  }
  std::vector<report::Bar> bars{{"mixed", 4, {}, {}, {}}, {"strict", 3, {}, {}, {}}};
  double high = 0;
  for (report::Bar& bar : bars) {
    for (const Trial& t : r.trials) {
      if (t.order != bar.name) continue;
      const double y = trial::percentile(t.result.waits.pulls, 0.99);
      high = std::max(high, y);
      bar.lower.push_back(t.ran() ? std::optional(y) : std::nullopt);
      bar.tips.push_back(name_of(t) + ": " + report::brief(y) + " ms");
    }
  }
  return report::bar_chart({"what 99 of 100 pulls waited at most, by order and store",
                            "store", "milliseconds", stores, high > 0 ? 0 : 1.0},
                           bars);
}

report::Table table(const Report& r) {
  report::Table out{columns(), {{"every way", {}}}};
  for (const Trial& t : r.trials) {
    if (grades(t)) out.sections[0].rows.push_back(row(t));
  }
  return out;
}

report::Table order_table(const Report& r) {
  report::Table out{order_columns(), {{"pulls among pushes", {}}}};
  for (const Trial& t : r.trials) {
    if (!grades(t)) out.sections[0].rows.push_back(order_row(t));
  }
  return out;
}

// Every submission, with its verdict by way.
report::Table verdicts(const Report& r) {
  report::Table out{{{"submission", Align::kLeft}, {"right", Align::kLeft}},
                    {{"all submissions", {}}}};
  std::vector<const Trial*> ways;
  for (const char* way : kWays) {
    const Trial* t = trial_of(r, way);
    if (t == nullptr) continue;
    ways.push_back(t);
    out.columns.push_back({way, Align::kLeft});
  }
  for (std::size_t i = 0; !ways.empty() && i < ways[0]->result.rows.size(); ++i) {
    const Row& one = ways[0]->result.rows[i];
    report::Row line{{{one.name, Tone::kStrong}, {one.right}}};
    for (const Trial* t : ways) {
      const Row& cell = t->result.rows[i];
      const bool withheld = !cell.withheld.empty();
      const std::string got = cell.grade.verdict.empty() ? "?" : cell.grade.verdict;
      line.cells.push_back({withheld ? "withheld" : got, withheld ? Tone::kDim
                                                         : got == cell.right
                                                             ? Tone::kGood
                                                             : Tone::kBad});
    }
    out.sections[0].rows.push_back(std::move(line));
  }
  return out;
}

}  // namespace

std::vector<report::Column> columns() {
  return {
      {"way", Align::kLeft, 8, 0, "What a submission runs inside"},
      {"store", Align::kLeft, 10, 0, "Where the grades are kept"},
      {"grades/s", Align::kRight, 8, 0, "Of those that mean well and end by themselves"},
      {"right", Align::kRight, 8, 0, "Verdicts that are what they should be"},
      {"escaped", Align::kRight, 7, 0, "Submissions that did something outside"},
      {"read", Align::kRight, 4, 1, "… that read the site's secret"},
      {"wrote", Align::kRight, 5, 1, "… that changed the site's files"},
      {"connected", Align::kRight, 9, 1, "… that reached a server"},
      {"processes", Align::kRight, 9, 1, "Processes that lived on"}};
}

report::Row row(const Trial& t) {
  if (!t.ran()) return failed_row(t, columns().size());
  std::size_t processes = 0;
  for (const Row& one : t.result.rows) processes += one.escape.processes;
  const bool all = t.right() == t.graded();
  return {{{t.way, Tone::kStrong},
           {t.store},
           {report::brief(t.per_second())},
           {grouped(t.right()) + " of " + grouped(t.graded()),
            all ? Tone::kGood : Tone::kBad},
           count_cell(t.escaped()),
           count_cell(count_if(t, [](const Row& x) { return x.escape.read; })),
           count_cell(count_if(t, [](const Row& x) { return x.escape.wrote; })),
           count_cell(count_if(t, [](const Row& x) { return x.escape.connections > 0; })),
           count_cell(processes)}};
}

std::vector<report::Column> order_columns() {
  return {{"order", Align::kLeft, 8, 0, "How a worker takes its queues"},
          {"store", Align::kLeft, 10, 0, "Where the grades are kept"},
          {"pulls", Align::kRight, 5, 2, "Grades that a student waited for"},
          {"wait p50", Align::kRight, 8, 0, "Milliseconds from the enqueue to the start"},
          {"wait p99", Align::kRight, 8, 0, "… of 99 in 100"},
          {"pushes", Align::kRight, 6, 2, "Grades that nobody waited for"},
          {"overtaken", Align::kRight, 9, 0, "Pushes that started while a pull waited"}};
}

report::Row order_row(const Trial& t) {
  if (!t.ran()) {
    report::Row row = failed_row(t, order_columns().size());
    row.cells[0].text = t.order;
    return row;
  }
  const Waits& w = t.result.waits;
  return {{{t.order, Tone::kStrong},
           {t.store},
           {grouped(w.pulls.size())},
           {ms(w.pulls, 0.5)},
           {ms(w.pulls, 0.99)},
           {grouped(w.pushes.size())},
           count_cell(w.overtaken)}};
}

report::Table escapes(const Report& r) {
  report::Table out{{{"submission", Align::kLeft, 27}}, {{"hostile submissions", {}}}};
  std::vector<const Trial*> ways;
  for (const char* way : kWays) {
    const Trial* t = trial_of(r, way);
    if (t == nullptr) continue;
    ways.push_back(t);
    out.columns.push_back({way, Align::kLeft, 16});
  }
  for (std::size_t i = 0; !ways.empty() && i < ways[0]->result.rows.size(); ++i) {
    if (!ways[0]->result.rows[i].hostile) continue;
    report::Row line{{{ways[0]->result.rows[i].name, Tone::kStrong}}};
    for (const Trial* t : ways) {
      const Row& cell = t->result.rows[i];
      if (!cell.withheld.empty()) {
        line.cells.push_back({"withheld", Tone::kDim});
      } else if (cell.escape.any()) {
        line.cells.push_back({words_of(cell.escape), Tone::kBad});
      } else {
        line.cells.push_back({"–", Tone::kGood});
      }
    }
    out.sections[0].rows.push_back(std::move(line));
  }
  return out;
}

std::vector<std::string> findings(const Report& r) {
  std::vector<std::string> out;
  for (const Trial& t : r.trials) {
    if (!t.result.skipped.empty()) {
      out.push_back(name_of(t) + ": skipped: " + t.result.skipped);
    }
    if (!t.ran()) continue;
    if (!grades(t)) {
      const Waits& w = t.result.waits;
      out.push_back(name_of(t) + ": of " + grouped(w.pulls.size()) + " pulls among " +
                    grouped(w.pushes.size()) + " pushes half waited " + ms(w.pulls, 0.5) +
                    " ms at most; " + grouped(w.overtaken) +
                    " pushes started while a pull waited.");
      continue;
    }
    std::string text = name_of(t) + ": " + grouped(t.right()) + " of " +
                       grouped(t.graded()) + " verdicts are right; " +
                       (t.escaped() == 0 ? "nothing escaped"
                                         : grouped(t.escaped()) + " submissions escaped");
    std::size_t withheld = 0;
    for (const Row& one : t.result.rows) withheld += one.withheld.empty() ? 0 : 1;
    if (withheld > 0) text += "; " + grouped(withheld) + " were withheld";
    for (const Row& one : t.result.rows) {
      if (!one.withheld.empty() || one.grade.verdict == one.right) continue;
      text += ". " + one.name + " should be " + one.right + " and is " +
              (one.grade.verdict.empty() ? "not graded" : one.grade.verdict);
    }
    out.push_back(text + ".");
  }
  return out;
}

std::string page(const Report& r) {
  report::Page page(
      "A course site that runs what students hand in",
      "Submissions, many of them hostile, compiled, run against tests and graded "
      "four ways, with what escaped.");
  const auto violations = judge(r);
  if (violations.empty() && skipped(r).empty()) {
    page.verdict(
        true,
        "In the sandbox every submission got the verdict that it should have: no "
        "file outside was read or changed, no process lived on, no connection "
        "was made. No push started while a pull waited.");
  }
  for (const std::string& violation : violations) page.verdict(false, violation);
  if (const std::string missing = skipped(r); !missing.empty()) {
    page.verdict(false, "The sandbox was skipped: " + missing);
  }
  std::vector<report::Page::Card> cards;
  for (const char* way : kWays) {
    const Trial* t = trial_of(r, way);
    if (t == nullptr) continue;
    const bool bad = t->escaped() > 0 || t->right() < t->graded();
    cards.push_back(
        {style_of(way), name_of(*t),
         t->escaped() == 0 ? "none escaped" : grouped(t->escaped()) + " escaped",
         grouped(t->right()) + " of " + grouped(t->graded()) + " verdicts right, " +
             report::brief(t->per_second()) + " grades a second",
         bad});
  }
  page.cards(cards);
  page.heading("What to read from it");
  page.paragraph(
      "A time limit and a limit on memory make a grader that seems to work: most "
      "verdicts "
      "are right. What they do not bound is where a program looks, whom it calls and "
      "what "
      "it leaves behind. A forked child or a program of its own ends with what it "
      "started, "
      "if that did not leave its session; its files and its network are still the "
      "site's own. In the sandbox there is no site to see.");
  page.paragraph(
      "Students wait for their answers (pulls); re-grades can wait (pushes). With a "
      "strict "
      "order no worker takes a push while a pull waits, so a night's re-grades cost a "
      "student at most the grade that runs.");
  page.paragraph(r.work);
  if (r.quick) page.was_quick();
  page.heading("Speed, and what it is worth");
  std::vector<std::pair<std::size_t, std::string>> legend;
  for (const char* way : kWays) legend.emplace_back(style_of(way), way);
  page.legend(legend);
  page.figures(
      {{"Grades a second. Higher is better, if nothing escapes.",
        chart(r, "grades a second", [](const Trial& t) { return t.per_second(); })},
       {"Submissions that escaped. Only 0 is right.",
        chart(r, "escaped",
              [](const Trial& t) { return static_cast<double>(t.escaped()); })},
       {"What 99 of 100 pulls waited at most, in ms: queues mixed (left), strict "
        "(right).",
        wait_chart(r)}});
  page.heading("What escaped");
  page.table(report::html(escapes(r), "What each hostile submission did outside"),
             "What escaped, scrolls sideways");
  page.heading("Every verdict");
  page.table(report::html(verdicts(r), "Every submission, by way"),
             "Every verdict, scrolls sideways");
  page.heading("Every figure");
  page.table(report::html(table(r), "Every way"), "Every figure, scrolls sideways");
  page.table(report::html(order_table(r), "Pulls among pushes"),
             "Pulls among pushes, scrolls sideways");
  page.heading("What happened");
  for (const std::string& finding : findings(r)) page.paragraph(finding);
  page.heading("The machine");
  page.definitions({{"Date", r.facts.date},
                    {"Processor", r.facts.processor + ", " +
                                      std::to_string(r.facts.cores) + " usable"},
                    {"System", r.facts.system + ", " + r.facts.kernel},
                    {"Compiler", r.facts.compiler + ", " + r.facts.build},
                    {"The whole run took", report::brief(r.seconds) + " s"}});
  page.paragraph("The same run again:");
  page.code(r.command);
  return page.html();
}

}  // namespace grader
