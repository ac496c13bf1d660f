#include "show.h"

#include <report/chart.h>
#include <report/page.h>
#include <report/text.h>

#include <algorithm>

namespace sms {
namespace {

using report::Align;
using report::grouped;
using report::Tone;

// Colour and mark: what was wrong, what was right.
constexpr std::size_t kWrong = 0;
constexpr std::size_t kRight = 2;

std::size_t style_of(const Group& group) { return group.way.right ? kRight : kWrong; }

// "100", "101–107".
template <class F>
std::string spread(const Group& group, F of) {
  if (group.runs.empty()) return "–";
  long long low = of(group.runs.front());
  long long high = low;
  for (const Run& run : group.runs) {
    low = std::min(low, of(run));
    high = std::max(high, of(run));
  }
  const auto text = [](long long n) {
    return (n < 0 ? "−" : "") + grouped(static_cast<unsigned long long>(n < 0 ? -n : n));
  };
  return low == high ? text(low) : text(low) + " to " + text(high);
}
std::string messages(const Group& group) {
  return spread(group, [](const Run& r) { return static_cast<long long>(r.messages); });
}
std::string requests(const Group& group) {
  return spread(group, [](const Run& r) { return static_cast<long long>(r.requests); });
}
std::string left(const Group& group) {
  return spread(group, [](const Run& r) { return r.result.left; });
}

double seconds(const Group& group) {
  std::vector<double> all;
  for (const Run& run : group.runs) all.push_back(run.result.seconds);
  if (all.empty()) return 0;
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

// One bar a way, of those that must be right or of the others.
template <class F>
std::string chart(const Report& r, bool right, const std::string& label,
                  const std::string& what, F of) {
  std::vector<std::string> names;
  report::Bar bar{right ? "right" : "overspent", right ? kRight : kWrong, {}};
  double high = 0;
  for (const Group& group : r.groups) {
    if (group.way.right != right) continue;
    names.push_back(group.way.name);
    bar.lower.push_back(of(group));
    high = std::max(high, of(group));
    bar.tips.push_back(group.way.name + ": " + report::brief(of(group)) + " " + what +
                       "; it " + verdict(group));
  }
  return report::bar_chart({label + "; the figures are in the table below", "way", what,
                            names, high > 0 ? 0 : 1.0},
                           {bar});
}

}  // namespace

std::vector<report::Column> columns() {
  return {{"way", Align::kLeft, 14, 0, "How it is done"},
          {"guarded by", Align::kLeft, 25, 1, "What keeps others out, if anything"},
          {"processes", Align::kRight, 9, 2, "That send"},
          {"right", Align::kRight, 8, 0, "Runs with as many messages as credits"},
          {"overspent", Align::kRight, 9, 0, "Runs with more messages than credits"},
          {"messages sent", Align::kRight, 13, 0, "Counted by the gateway"},
          {"credits left", Align::kRight, 12, 0, "In the database"},
          {"requests", Align::kRight, 10, 3,
           "That the gateway got; more than messages where it knew one's key"},
          {"s a run", Align::kRight, 7, 4, "The median"}};
}

report::Row row(const Group& g) {
  const bool all_right = g.count_right() == g.runs.size();
  const std::size_t over = g.count_overspent();
  return {{{g.way.name, Tone::kStrong},
           {g.way.what},
           {std::to_string(g.way.processes)},
           {grouped(g.count_right()) + "/" + grouped(g.runs.size()),
            all_right ? Tone::kGood : Tone::kBad},
           {grouped(over), over > 0 ? Tone::kBad : Tone::kPlain},
           {messages(g), over > 0 ? Tone::kBad : Tone::kPlain},
           {left(g)},
           {requests(g)},
           {report::fixed(seconds(g), 2)}}};
}

std::string page(const Report& r) {
  const Group& first = r.groups.front();
  report::Page page("Check, then set",
                    "A community has " + grouped(first.credits) +
                        " credits for text "
                        "messages, and " +
                        grouped(first.recipients) +
                        " recipients. Jobs look whether a credit is left, send, and take "
                        "one off. How many messages go out?");
  const auto violations = judge(r);
  if (violations.empty()) {
    page.verdict(
        true,
        "What must be right was right in every run. The others were seen to send "
        "messages that nobody had paid for. The gateway counted, not the jobs.");
  }
  for (const std::string& violation : violations) page.verdict(false, violation);
  std::vector<report::Page::Card> cards;
  for (const Group& g : r.groups) {
    const bool bad = g.count_right() != g.runs.size();
    cards.push_back({style_of(g), g.way.name,
                     bad ? "up to " + grouped(g.most_messages()) : messages(g),
                     "messages; " + verdict(g), bad});
  }
  page.cards(cards);
  page.paragraph(r.work);
  if (r.quick) page.was_quick();
  page.heading("How far it went wrong, and what it takes to be right");
  page.legend({{kWrong, "overspent"}, {kRight, "right"}});
  page.figures(
      {{"Messages that nobody had paid for, in the worst run.",
        chart(r, false, "Messages beyond the credits in the worst run, by way",
              "messages beyond the credits",
              [](const Group& g) {
                return static_cast<double>(g.most_messages()) -
                       static_cast<double>(g.credits);
              })},
       {"Seconds from the first recipient to the last. Lower is better.",
        chart(r, true, "Seconds a run takes, by way", "seconds a run", seconds)}});
  page.paragraph(
      "Whoever lets one in at a time waits for one message after the other. Where the "
      "credit is taken first, all messages may be on their way at once. The last way's  "
      "runs have up to three kill -9 in them, and wait for the leases of the dead.");
  page.heading("Why each is so");
  std::vector<std::pair<std::string, std::string>> why;
  for (const Group& g : r.groups) why.emplace_back(g.way.name, g.way.why);
  page.definitions(why);
  page.heading("What is exactly once here, and what is not");
  page.paragraph(
      "That a credit is taken, that the job is done, and that the message is to be sent "
      "can be one transaction: they are rows of one database. That holds through kill -9 "
      "at any point, and this page's last way shows it.");
  page.paragraph(
      "The message itself is not in the database, and nothing takes it back. Whoever "
      "sends "
      "it and is killed before he has written that down must send it again, or risk that "
      "it never goes out: at least once, or at most once; there is no third. It is sent "
      "once because the gateway remembers keys, and the key is the delivery's job id, "
      "the "
      "same at each attempt. With a gateway that takes no key, somebody may get the same "
      "message twice; the credit is still taken once.");
  page.heading("Every figure");
  report::Table table{columns(), {{"", {}}}};
  for (const Group& g : r.groups) table.sections[0].rows.push_back(row(g));
  page.table(report::html(table, "Every way"), "Every figure, scrolls sideways");
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

}  // namespace sms
