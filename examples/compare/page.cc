#include "page.h"

#include <report/chart.h>
#include <report/page.h>
#include <report/text.h>

#include <algorithm>

#include "tables.h"

namespace compare {
namespace {

using report::brief;
using Values = std::vector<std::optional<double>>;

double share(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

class Writer {
 public:
  explicit Writer(const Comparison& c)
      : c_(c), isolations_(isolations(c)), concurrencies_(concurrencies(c)) {
    for (const std::string& pair : pairs(c)) {
      if (was_measured(pair)) pairs_.push_back(pair);
    }
    for (std::size_t n : concurrencies_) x_.push_back(std::to_string(n));
  }

  std::string write() {
    report::Page page("Queue × store × isolation, compared on work that threads spoil",
                      "Carrel runs the same jobs through every combination of where they "
                      "wait, where their record is kept and what they run inside.");
    const std::vector<std::string> violations = judge(c_);
    if (violations.empty()) {
      page.verdict(
          true,
          "Every hash was checked against crypt_r. Wrong ones came only from jobs "
          "that shared crypt(3)'s buffer: plain threads, more than one at once.");
    }
    for (const std::string& violation : violations) page.verdict(false, violation);
    if (const auto all = cards(); !all.empty()) {
      page.paragraph("With more than one job at once:");
      page.cards(all);
    }
    page.heading("What to read from it");
    page.paragraph(
        "crypt(3) keeps its work in one static buffer. Two threads inside it at the same "
        "time spoil each other's hashes, and nothing crashes or complains. Most old C "
        "libraries are like that.");
    page.paragraph(
        "So look at “wrong hashes” first, and only then at speed. A lock keeps the "
        "hashes "
        "right, but one job runs at a time, whatever the number of processors. A process "
        "for every job keeps them right and uses all processors, and pays for making the "
        "process. Which of the two wins depends on how long a job is: here it takes "
        "a few milliseconds at most, so the price of a process shows; with longer jobs "
        "it fades.");
    page.paragraph(c_.work);
    if (c_.quick) page.was_quick();
    if (const std::string busy = busy_warning(c_); !busy.empty()) page.paragraph(busy);

    if (!pairs_.empty()) plots(page);  // else the verdict says that nothing was measured
    page.heading("Every figure");
    page.table(report::html(full_table(c_), "Every combination that was measured"),
               "Every figure, a table that scrolls sideways");
    page.heading("The machine, and how it was measured");
    page.definitions(facts());
    page.paragraph(
        "Speeds drift from run to run, most of all on a shared virtual machine. Trust "
        "ratios within one group of rows, which ran one after the other, more than "
        "figures of different groups. The same run prints this page:");
    page.code(c_.command);
    return page.html();
  }

 private:
  bool was_measured(const std::string& pair) const {
    return std::any_of(c_.outcomes.begin(), c_.outcomes.end(), [&](const Outcome& o) {
      return o.status == Status::kMeasured && pair_name(o) == pair;
    });
  }

  void plots(report::Page& page) const {
    chapter(page, "Wrong hashes",
            "Share of all hashes that differ from crypt_r's. Lower is better; only zero "
            "is right.",
            [this](const std::string& pair) { return wrong_chart(pair); });
    chapter(page, "Throughput",
            "Jobs a second, from one call that enqueues them all to the last one's "
            "finish. Higher is better. Hollow marks: some of the results were wrong, so "
            "the speed is worth nothing.",
            [this](const std::string& pair) { return throughput_chart(pair); });
    chapter(page, "Latency",
            "From enqueue to the committed finish, with as many jobs in flight as may "
            "run at once. The mark is the median, the cap the 99th percentile. Lower is "
            "better; the scale is logarithmic.",
            [this](const std::string& pair) { return latency_chart(pair); });
    chapter(page, "Processor time of a job",
            "User and system time of the host (solid) and of all its children (light), "
            "divided by the number of jobs. Lower is better.",
            [this](const std::string& pair) { return cpu_chart(pair); });
    chapter(page, "Peak memory",
            "Resident memory of the host (solid) and of its largest child (light), each "
            "at its peak. A forked child shares most of its pages with the process "
            "server it came from. Lower is better.",
            [this](const std::string& pair) { return memory_chart(pair); });
  }

  template <class Draw>
  void chapter(report::Page& page, const std::string& title, const std::string& text,
               Draw&& draw) const {
    page.heading(title);
    page.paragraph(text);
    std::vector<std::pair<std::size_t, std::string>> legend;
    for (std::size_t i = 0; i < isolations_.size(); ++i) {
      legend.emplace_back(i, isolations_[i]);
    }
    page.legend(legend);
    std::vector<report::Page::Figure> figures;
    for (const std::string& pair : pairs_) figures.push_back({pair, draw(pair)});
    page.figures(figures);
  }

  template <class F>
  Values values(const std::string& pair, std::size_t isolation, F&& of) const {
    Values out;
    for (std::size_t n : concurrencies_) {
      const Outcome* o = measured(c_, pair, isolations_[isolation], n);
      out.push_back(o != nullptr ? std::optional<double>(of(*o)) : std::nullopt);
    }
    return out;
  }

  template <class F>
  std::vector<std::string> tips(const std::string& pair, std::size_t isolation,
                                F&& of) const {
    std::vector<std::string> out;
    for (std::size_t n : concurrencies_) {
      const Outcome* o = measured(c_, pair, isolations_[isolation], n);
      out.push_back(o == nullptr ? std::string()
                                 : isolations_[isolation] + ", " + std::to_string(n) +
                                       " at once: " + of(*o));
    }
    return out;
  }

  // Over all that was measured, so that charts side by side share a scale.
  template <class F>
  double highest(F&& of) const {
    double high = 0;
    for (const Outcome& o : c_.outcomes) {
      if (o.status == Status::kMeasured) high = std::max(high, of(o));
    }
    return high;
  }

  report::Frame frame(const std::string& what, const std::string& pair,
                      const std::string& y_title, double high) const {
    return {what + " over the number of jobs at once, " + pair +
                "; the figures are in the table below",
            "jobs at once",
            y_title,
            x_,
            high,
            0,
            false};
  }

  std::string wrong_chart(const std::string& pair) const {
    const auto of = [](const Outcome& o) {
      return 100 * share(o.measured.wrong, o.measured.hashes);
    };
    std::vector<report::Bar> bars;
    for (std::size_t i = 0; i < isolations_.size(); ++i) {
      bars.push_back({isolations_[i],
                      i,
                      values(pair, i, of),
                      {},
                      tips(pair, i, [](const Outcome& o) {
                        return report::grouped(o.measured.wrong) + " of " +
                               report::grouped(o.measured.hashes) + " wrong";
                      })});
    }
    return report::bar_chart(
        frame("Wrong hashes", pair, "wrong hashes, %", std::max(highest(of), 1.0)), bars);
  }

  std::string throughput_chart(const std::string& pair) const {
    const auto of = [](const Outcome& o) { return o.measured.jobs_per_second; };
    std::vector<report::Line> lines;
    for (std::size_t i = 0; i < isolations_.size(); ++i) {
      std::vector<bool> hollow;
      for (const auto& wrong : values(pair, i, [](const Outcome& o) {
             return static_cast<double>(o.measured.wrong);
           })) {
        hollow.push_back(wrong.value_or(0) > 0);
      }
      lines.push_back({isolations_[i], i, isolations_[i] == c_.baseline,
                       values(pair, i, of), hollow, tips(pair, i, [&](const Outcome& o) {
                         return brief(of(o)) + " jobs/s" +
                                (o.measured.wrong > 0 ? ", with wrong results" : "");
                       })});
    }
    return report::line_chart(frame("Throughput", pair, "jobs a second", highest(of)),
                              lines);
  }

  std::string latency_chart(const std::string& pair) const {
    std::vector<report::Range> ranges;
    for (std::size_t i = 0; i < isolations_.size(); ++i) {
      ranges.push_back(
          {isolations_[i], i,
           values(pair, i, [](const Outcome& o) { return o.measured.p50_ms; }),
           values(pair, i, [](const Outcome& o) { return o.measured.p99_ms; }),
           tips(pair, i, [](const Outcome& o) {
             return "p50 " + brief(o.measured.p50_ms) + " ms, p99 " +
                    brief(o.measured.p99_ms) + " ms";
           })});
    }
    report::Frame f = frame("Latency", pair, "milliseconds, p50 to p99",
                            highest([](const Outcome& o) { return o.measured.p99_ms; }));
    f.y_log = true;
    f.y_low = f.y_high;
    for (const Outcome& o : c_.outcomes) {
      if (o.status == Status::kMeasured) f.y_low = std::min(f.y_low, o.measured.p50_ms);
    }
    return report::range_chart(f, ranges);
  }

  template <class Host, class Child>
  std::string stacked_chart(const std::string& pair, const std::string& what,
                            const std::string& unit, Host&& host, Child&& child) const {
    std::vector<report::Bar> bars;
    for (std::size_t i = 0; i < isolations_.size(); ++i) {
      bars.push_back({isolations_[i], i, values(pair, i, host), values(pair, i, child),
                      tips(pair, i, [&](const Outcome& o) {
                        return "host " + brief(host(o)) + " " + unit + ", children " +
                               brief(child(o)) + " " + unit;
                      })});
    }
    return report::bar_chart(frame(what, pair, unit, highest([&](const Outcome& o) {
                                     return host(o) + child(o);
                                   })),
                             bars);
  }

  std::string cpu_chart(const std::string& pair) const {
    const auto a_job = [](const Outcome& o, double seconds) {
      return seconds * 1000 /
             static_cast<double>(std::max<std::size_t>(o.measured.jobs, 1));
    };
    return stacked_chart(
        pair, "Processor time of a job", "ms a job",
        [&](const Outcome& o) { return a_job(o, o.measured.cpu_host_s); },
        [&](const Outcome& o) { return a_job(o, o.measured.cpu_children_s); });
  }

  std::string memory_chart(const std::string& pair) const {
    const auto mebibytes = [](std::uint64_t b) {
      return static_cast<double>(b) / (1 << 20);
    };
    return stacked_chart(
        pair, "Peak memory", "MiB",
        [&](const Outcome& o) { return mebibytes(o.measured.peak_host_bytes); },
        [&](const Outcome& o) { return mebibytes(o.measured.peak_child_bytes); });
  }

  std::vector<report::Page::Card> cards() const {
    std::vector<report::Page::Card> out;
    for (std::size_t i = 0; i < isolations_.size(); ++i) {
      std::size_t wrong = 0, hashes = 0;
      double low = 0, high = 0;  // of the ratios where jobs ran at once
      for (const Outcome& o : c_.outcomes) {
        if (o.isolation != isolations_[i] || o.status != Status::kMeasured ||
            o.concurrency == 1) {
          continue;
        }
        wrong += o.measured.wrong;
        hashes += o.measured.hashes;
        if (o.to_baseline <= 0) continue;
        low = low == 0 ? o.to_baseline : std::min(low, o.to_baseline);
        high = std::max(high, o.to_baseline);
      }
      if (hashes == 0) continue;
      const double part = 100 * share(wrong, hashes);
      std::string speed = isolations_[i] == c_.baseline
                              ? "One job at a time: the measure of the others"
                              : report::fixed(low, 2) + " to " + report::fixed(high, 2) +
                                    " × the jobs/s of " + c_.baseline;
      if (wrong > 0) speed += ", and worth nothing";
      out.push_back({i, isolations_[i],
                     wrong == 0
                         ? "none wrong"
                         : (part < 1 ? "< 1" : report::fixed(part, 0)) + " % wrong",
                     speed, wrong > 0});
    }
    return out;
  }

  std::vector<std::pair<std::string, std::string>> facts() const {
    const report::Facts& f = c_.facts;
    return {
        {"Date", f.date},
        {"Processor", f.processor + ", " + std::to_string(f.cores) + " usable"},
        {"Memory", brief(static_cast<double>(f.memory_bytes) / (1 << 30)) + " GiB"},
        {"System", f.system + ", " + f.kernel},
        {"Compiler", f.compiler + ", " + f.build},
        {"The whole run took", brief(c_.seconds) + " s"},
        {"Processes",
         "Every combination runs in a fresh process of its own, so that its "
         "processor time and memory are its own."},
        {"Processor time",
         "getrusage of the host while jobs run; wait4 of everything it "
         "started, to its end"},
        {"Peak memory", "VmHWM of the host; ru_maxrss of the largest child"},
        {"Right hashes",
         "crypt_r, computed once before any engine starts; every result "
         "is read back from the store and compared"},
    };
  }

  const Comparison& c_;
  std::vector<std::string> isolations_;
  std::vector<std::size_t> concurrencies_;
  std::vector<std::string> pairs_;
  std::vector<std::string> x_;
};

}  // namespace

std::string page(const Comparison& comparison) { return Writer(comparison).write(); }

}  // namespace compare
