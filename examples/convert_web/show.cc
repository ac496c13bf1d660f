#include "show.h"

#include <report/chart.h>
#include <report/page.h>
#include <report/text.h>

#include <algorithm>

namespace convert_web {
namespace {

using report::Align;
using report::grouped;
using report::Tone;

const char* const kWays[] = {"thread", "mutex", "fork", "exec"};

std::size_t style_of(const std::string& way) {
  return static_cast<std::size_t>(std::find(std::begin(kWays), std::end(kWays), way) -
                                  std::begin(kWays));
}

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

std::string shown_mib(std::uint64_t bytes) {
  if (bytes == 0) return "–";
  return mib(bytes) < 100 ? report::fixed(mib(bytes), 1) : grouped(bytes >> 20);
}

// One group of bars a store, one bar a way.
template <class F>
std::string chart(const Report& r, const std::vector<std::string>& stores,
                  const std::string& what, F&& of) {
  std::vector<report::Bar> bars;
  for (const char* way : kWays) {
    report::Bar bar{way, style_of(way), {}};
    for (const std::string& store : stores) {
      std::optional<double> y;
      std::string tip;
      for (const Trial& t : r.trials) {
        if (t.way != way || t.store != store) continue;
        y = of(t);
        tip = name_of(t) + ": " + report::brief(*y) + " " + what;
      }
      bar.lower.push_back(y);
      bar.tips.push_back(tip);
    }
    bars.push_back(std::move(bar));
  }
  return report::bar_chart(
      {what + " by way and store; the figures are in the table below", "store", what,
       stores},
      bars);
}

}  // namespace

std::vector<report::Column> columns() {
  return {
      {"way", Align::kLeft, 7, 0, "What a conversion runs inside"},
      {"store", Align::kLeft, 10, 0, "Where the jobs are kept"},
      {"host MiB", Align::kRight, 8, 0, "Peak resident memory of the host"},
      {"child MiB", Align::kRight, 9, 0, "… of its largest child"},
      {"right", Align::kRight, 6, 0,
       "Conversions that came out as they must; a broken file, refused with the right "
       "sentence"},
      {"wrong", Align::kRight, 5, 0, "The others"},
      {"a second", Align::kRight, 8, 0, "Conversions a second"},
      {"CPU s", Align::kRight, 6, 2, "Of the host and all its children"},
      {"reports", Align::kRight, 8, 1, "Of progress, that the conversions made"},
      {"writes/1,000", Align::kRight, 12, 0,
       "Writes to the store, while they ran, for every 1,000 reports"}};
}

report::Row row(const Trial& t) {
  const std::size_t wrong = t.count - t.right;
  return {{{t.way, Tone::kStrong},
           {t.store},
           {shown_mib(t.result.peak_bytes),
            t.died.empty() ? (isolated(t) ? Tone::kGood : Tone::kBad) : Tone::kPlain},
           {isolated(t) ? shown_mib(t.result.child_bytes) : "–"},
           {t.died.empty() ? grouped(t.right) : "died",
            t.died.empty() ? Tone::kPlain : Tone::kBad},
           {grouped(wrong), wrong > 0 ? Tone::kBad : Tone::kGood},
           {report::brief(t.per_second())},
           {report::fixed(t.result.cpu_seconds, 1)},
           {grouped(t.result.reports)},
           {report::brief(t.writes_per_1000_reports())}}};
}

report::Table table(const Report& r) {
  report::Table out{columns(), {{"every conversion leaks", {}}}};
  for (const Trial& t : r.trials) out.sections[0].rows.push_back(row(t));
  return out;
}

std::vector<std::string> findings(const Report& r) {
  std::vector<std::string> out;
  for (const Trial& t : r.trials) {
    if (!t.died.empty()) {
      out.push_back(name_of(t) + ": " + t.died + ".");
      continue;
    }
    std::string text = name_of(t) + ": " + grouped(t.right) + " of " + grouped(t.count) +
                       " came out right; the host grew by " + shown_mib(t.grown_bytes()) +
                       " MiB of the " + shown_mib(t.count * t.leak_bytes) +
                       " MiB that leaked";
    text += ". Of " + grouped(t.result.reports) + " reports of progress came " +
            grouped(t.result.beats) + " writes to the store";
    out.push_back(text + ".");
  }
  return out;
}

std::string page(const Report& r) {
  report::Page page(
      "A converter that leaks, in a host that stays up",
      "Files of 2-D tracking data are converted between five programs' formats "
      "by code that forgets to free what it took. The same files, four ways.");
  const auto violations = judge(r);
  if (violations.empty()) {
    page.verdict(
        true,
        "Every output was compared, byte for byte, with what it must be, and every "
        "broken file was refused with the sentence that is right for it. What "
        "leaked in a process died with it.");
  }
  for (const std::string& violation : violations) page.verdict(false, violation);
  std::vector<report::Page::Card> cards;
  for (const Trial& t : r.trials) {
    cards.push_back({style_of(t.way), name_of(t),
                     t.died.empty() ? shown_mib(t.result.peak_bytes) + " MiB" : "died",
                     "peak of the host, over " + grouped(t.count) + " conversions",
                     !t.died.empty() || !isolated(t)});
  }
  page.cards(cards);
  page.heading("What to read from it");
  page.paragraph(
      "A library that leaks costs its host that memory until the host ends: the web "
      "server, and with it every other user. Threads and a mutex share that fate. In a "
      "process of its own a conversion leaks as much, and all of it is given back when "
      "the process ends, a moment later. A crash costs one conversion then, too.");
  page.paragraph(r.work);
  if (r.quick) page.was_quick();
  if (!r.bounded.empty()) page.paragraph(r.bounded);
  std::vector<std::string> stores;
  for (const Trial& t : r.trials) {
    if (std::find(stores.begin(), stores.end(), t.store) == stores.end()) {
      stores.push_back(t.store);
    }
  }
  std::vector<std::pair<std::size_t, std::string>> legend;
  for (const char* way : kWays) legend.emplace_back(style_of(way), way);
  page.heading("Memory, and the price");
  page.legend(legend);
  page.figures(
      {{"Peak memory of the host, MiB. Lower is better.",
        chart(r, stores, "MiB", [](const Trial& t) { return mib(t.result.peak_bytes); })},
       {"Conversions a second. Higher is better.",
        chart(r, stores, "conversions a second",
              [](const Trial& t) { return t.per_second(); })},
       {"Writes to the store for 1,000 reports of progress. Lower is better.",
        chart(r, stores, "writes",
              [](const Trial& t) { return t.writes_per_1000_reports(); })}});
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

}  // namespace convert_web
