#include "show.h"

#include <report/chart.h>
#include <report/page.h>
#include <report/text.h>

#include <algorithm>

namespace s3 {
namespace {

using report::Align;
using report::grouped;
using report::Tone;

const char* const kWays[] = {"thread", "mutex", "fork", "fork_to"};

std::size_t style_of(const std::string& way) {
  return static_cast<std::size_t>(std::find(std::begin(kWays), std::end(kWays), way) -
                                  std::begin(kWays));
}

std::string mebibytes(std::uint64_t bytes) {
  return bytes == 0 ? "–" : report::fixed(static_cast<double>(bytes) / (1 << 20), 1);
}

// "3 wall_timeout, 5 failed".
std::string list(const std::map<std::string, std::size_t>& failed) {
  std::string out;
  for (const auto& [how, count] : failed) {
    out += (out.empty() ? "" : ", ") + grouped(count) + " " + how;
  }
  return out.empty() ? "none" : out;
}

std::string spoiled(const Trial& t) {
  std::vector<std::string> parts;
  if (!t.died.empty()) parts.push_back(t.died);
  if (t.failures() > 0) parts.push_back("attempts that failed: " + list(t.result.failed));
  parts.push_back("of " + grouped(t.files) + " objects " + grouped(t.right) +
                  " are right, " + grouped(t.different) + " are something else and " +
                  grouped(t.missing) + " are missing");
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : "; ") + part;
  return out;
}

// One group of bars a store, one bar a way, of the trials without faults.
template <class F>
std::string chart(const Report& r, const std::vector<std::string>& stores,
                  const std::string& what, F&& of) {
  std::vector<report::Bar> bars;
  double high = 0;
  for (const char* way : kWays) {
    report::Bar bar{way, style_of(way), {}};
    for (const std::string& store : stores) {
      std::optional<double> y;
      std::string tip;
      for (const Trial& t : r.trials) {
        if (t.way != way || t.store != store || t.faults) continue;
        y = of(t);
        high = std::max(high, *y);
        tip = name_of(t) + ": " + report::brief(*y) + " " + what;
      }
      bar.lower.push_back(y);
      bar.tips.push_back(tip);
    }
    bars.push_back(std::move(bar));
  }
  return report::bar_chart(
      {what + " by way and store; the figures are in the table below", "store", what,
       stores, high > 0 ? 0 : 1.0},
      bars);
}

}  // namespace

std::vector<report::Column> columns() {
  return {{"way", Align::kLeft, 8, 0, "What an upload runs inside"},
          {"store", Align::kLeft, 10, 0, "Where the jobs are kept"},
          {"uploads/s", Align::kRight, 9, 0, "Completed ones, by the time of all"},
          {"× mutex", Align::kRight, 7, 0, "Uploads a second over those of the mutex"},
          {"failed attempts", Align::kRight, 15, 0, "They were tried again"},
          {"completed", Align::kRight, 9, 0, "Uploads that say they are done"},
          {"right", Align::kRight, 6, 0, "Objects that are what their file is"},
          {"wrong", Align::kRight, 6, 0, "Objects that are something else, or missing"},
          {"CPU s", Align::kRight, 5, 3, "Of the host and all its children"},
          {"host MiB", Align::kRight, 8, 2, "Peak resident memory of the host"},
          {"child MiB", Align::kRight, 9, 1, "… of its largest child"}};
}

report::Row row(const Report& r, const Trial& t) {
  const double times = ratio(r, t);
  const std::size_t wrong = t.different + t.missing;
  return {
      {{t.way, Tone::kStrong},
       {t.store},
       {report::brief(t.per_second())},
       {times > 0 ? report::fixed(times, 2) : "–"},
       {grouped(t.failures()), t.failures() > 0 && !t.faults ? Tone::kBad : Tone::kPlain},
       {t.died.empty() ? grouped(t.result.completed) : "died",
        t.died.empty() ? Tone::kPlain : Tone::kBad},
       {grouped(t.right)},
       {grouped(wrong), wrong > 0 ? Tone::kBad : Tone::kGood},
       {report::fixed(t.result.cpu_seconds, 1)},
       {mebibytes(t.result.peak_bytes)},
       {mebibytes(t.result.child_bytes)}}};
}

report::Table table(const Report& r) {
  report::Table out{columns(), {{"as it should go", {}}, {"with faults", {}}}};
  for (const Trial& t : r.trials)
    out.sections[t.faults ? 1 : 0].rows.push_back(row(r, t));
  return out;
}

std::vector<std::string> findings(const Report& r) {
  std::vector<std::string> out;
  for (const Trial& t : r.trials) {
    std::string text = name_of(t) + ": ";
    if (t.way == "thread") {
      text += spoiled(t);
    } else if (t.faults) {
      text += "all " + grouped(t.right) + " objects are right. The server let " +
              grouped(t.server.value("hung", 0U)) + " uploads hang, refused " +
              grouped(t.server.value("refused", 0U)) + " and cut off " +
              grouped(t.server.value("cut", 0U)) +
              "; attempts that failed: " + list(t.result.failed);
    } else {
      text += grouped(t.right) + " of " + grouped(t.files) + " objects are right";
      if (const double times = ratio(r, t); times > 0 && t.way != "mutex") {
        text += ", at " + report::fixed(times, 2) + " times the rate of the mutex";
      }
    }
    out.push_back(text + ".");
  }
  return out;
}

std::string page(const Report& r) {
  report::Page page("A client that is not thread-safe, used by many jobs at once",
                    "An S3 client keeps its connection, its credentials and the object "
                    "under way in one global. The same uploads, four ways.");
  const auto violations = judge(r);
  if (violations.empty()) {
    page.verdict(true,
                 "Every object was read back and compared with its file. What shared the "
                 "client among threads spoiled it; nothing else lost, changed or left "
                 "behind anything.");
  }
  for (const std::string& violation : violations) page.verdict(false, violation);
  std::vector<report::Page::Card> cards;
  for (const Trial& t : r.trials) {
    if (t.faults) continue;
    const std::size_t wrong = t.different + t.missing;
    const double times = ratio(r, t);
    std::string figure = "all right";
    const bool bad = !t.died.empty() || wrong + t.failures() > 0;
    if (!t.died.empty()) {
      figure = "died";
    } else if (wrong > 0) {
      figure = grouped(wrong) + " wrong";
    } else if (bad) {
      figure = grouped(t.failures()) + " failed";
    } else if (times > 0 && t.way != "mutex") {
      figure = report::fixed(times, 1) + " × mutex";
    }
    cards.push_back({style_of(t.way), name_of(t), figure,
                     report::brief(t.per_second()) + " uploads a second, " +
                         grouped(t.failures()) + " failed attempts",
                     bad});
  }
  page.cards(cards);
  page.heading("What to read from it");
  page.paragraph(
      "An upload is mostly waiting: for the other side to store what it got. Threads "
      "could "
      "wait together, but this client has one buffer, one connection and one place for "
      "the answer, and two threads in it take each other's. A mutex keeps it right and "
      "waits alone: one upload at a time. A forked process has a copy of the client to "
      "itself: many wait at once, each answer goes to its own job, and an upload that "
      "hangs is killed by itself.");
  page.paragraph(r.work);
  if (r.quick) page.was_quick();
  std::vector<std::string> stores;
  for (const Trial& t : r.trials) {
    if (!t.faults && std::find(stores.begin(), stores.end(), t.store) == stores.end()) {
      stores.push_back(t.store);
    }
  }
  page.heading("Speed, and what it is worth");
  std::vector<std::pair<std::size_t, std::string>> legend;
  for (const char* way : kWays) legend.emplace_back(style_of(way), way);
  page.legend(legend);
  page.figures({{"Uploads a second. Higher is better, if all are right.",
                 chart(r, stores, "uploads a second",
                       [](const Trial& t) { return t.per_second(); })},
                {"Objects that are missing or wrong. Only 0 is right.",
                 chart(r, stores, "objects", [](const Trial& t) {
                   return static_cast<double>(t.different + t.missing);
                 })}});
  page.heading("What happened");
  for (const std::string& finding : findings(r)) page.paragraph(finding);
  page.heading("Every figure");
  page.table(report::html(table(r), "Every trial"), "Every figure, scrolls sideways");
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

}  // namespace s3
