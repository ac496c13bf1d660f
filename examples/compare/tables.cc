#include "tables.h"

#include <report/text.h>

#include <algorithm>

namespace compare {
namespace {

using report::Align;
using report::brief;
using report::Tone;

std::string mebibytes(std::uint64_t bytes) {
  return bytes == 0 ? "–" : report::fixed(static_cast<double>(bytes) / (1 << 20), 1);
}

std::string percent(double share) {
  if (share == 0) return "0";
  return share < 0.01 ? "< 1" : report::fixed(share * 100, 0);
}

double wrong_share(const Measured& m) {
  return m.hashes == 0 ? 0 : static_cast<double>(m.wrong) / static_cast<double>(m.hashes);
}

std::string join(const std::vector<std::string>& parts, const std::string& between) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += between;
    out += part;
  }
  return out;
}

// One figure of a pair and isolation at each concurrency: "590 / 1,130 / 1,120".
template <class F>
std::string across(const Comparison& c, const std::string& pair,
                   const std::string& isolation, F&& figure) {
  std::vector<std::string> parts;
  for (std::size_t n : concurrencies(c)) {
    const Outcome* o = measured(c, pair, isolation, n);
    parts.push_back(o != nullptr ? figure(*o) : "–");
  }
  return join(parts, " / ");
}

std::size_t wrong_of(const Comparison& c, const std::string& isolation,
                     std::size_t& hashes) {
  std::size_t wrong = 0;
  for (const Outcome& o : c.outcomes) {
    if (o.isolation != isolation || o.status != Status::kMeasured) continue;
    wrong += o.measured.wrong;
    hashes += o.measured.hashes;
  }
  return wrong;
}

}  // namespace

std::vector<report::Column> columns(const Comparison& c) {
  std::size_t widest = 9;
  for (const std::string& isolation : isolations(c)) {
    widest = std::max(widest, report::width(isolation));
  }
  return {
      {"isolation", Align::kLeft, widest, 0, "What a job runs inside"},
      {"at once", Align::kRight, 7, 0, "Jobs that may run at the same time"},
      {"jobs/s", Align::kRight, 6, 0,
       "All jobs enqueued at once, until the last finished"},
      {"× " + c.baseline, Align::kRight, 7, 0,
       "Jobs/s over those of " + c.baseline + ", same queue, store and concurrency"},
      {"p50 ms", Align::kRight, 6, 0,
       "Enqueue to finish: half of the jobs took no longer"},
      {"p99 ms", Align::kRight, 6, 0, "Enqueue to finish: 99 of 100 jobs took no longer"},
      {"CPU s", Align::kRight, 5, 0, "User and system time, host and children together"},
      {"host", Align::kRight, 5, 7, "CPU seconds of the host process"},
      {"children", Align::kRight, 8, 8, "CPU seconds of all its children"},
      {"host MiB", Align::kRight, 8, 3, "Peak resident memory of the host process"},
      {"child MiB", Align::kRight, 9, 4, "Peak resident memory of the largest child"},
      {"wrong", Align::kRight, 6, 0, "Hashes that differ from crypt_r's"},
      {"wrong %", Align::kRight, 7, 5, "The same, of all hashes"},
  };
}

report::Row row(const Outcome& o, bool rule_before) {
  report::Row r{{}, rule_before};
  r.cells = {{o.isolation, Tone::kStrong}, {std::to_string(o.concurrency)}};
  if (o.status != Status::kMeasured) {
    r.cells.push_back({o.status == Status::kRefused ? "refused" : "failed", Tone::kBad});
    r.cells.resize(13);
    return r;
  }
  const Measured& m = o.measured;
  const Tone tone = m.wrong > 0 ? Tone::kBad : Tone::kGood;
  for (report::Cell cell : std::initializer_list<report::Cell>{
           {report::grouped(static_cast<unsigned long long>(m.jobs_per_second + 0.5))},
           {o.to_baseline > 0 ? report::fixed(o.to_baseline, 2) : "–"},
           {brief(m.p50_ms)},
           {brief(m.p99_ms)},
           {report::fixed(m.cpu_host_s + m.cpu_children_s, 2)},
           {report::fixed(m.cpu_host_s, 2), Tone::kDim},
           {report::fixed(m.cpu_children_s, 2), Tone::kDim},
           {mebibytes(m.peak_host_bytes)},
           {mebibytes(m.peak_child_bytes)},
           {report::grouped(m.wrong), tone},
           {percent(wrong_share(m)), tone}}) {
    r.cells.push_back(std::move(cell));
  }
  return r;
}

std::string refusal(const Comparison& c, const std::string& pair) {
  std::string reason;
  for (const Outcome& o : c.outcomes) {
    if (pair_name(o) != pair) continue;
    if (o.status != Status::kRefused) return {};
    reason = o.reason;
  }
  return reason;
}

report::Table full_table(const Comparison& c) {
  report::Table table{columns(c), {}};
  for (const std::string& pair : pairs(c)) {
    report::Section section{pair, {}};
    if (const std::string reason = refusal(c, pair); !reason.empty()) {
      section.remark = "refused: " + reason;
      table.sections.push_back(std::move(section));
      continue;
    }
    std::size_t above = 0;
    for (const Outcome& o : c.outcomes) {
      if (pair_name(o) != pair) continue;
      section.rows.push_back(row(o, above != 0 && above != o.concurrency));
      above = o.concurrency;
      if (o.status != Status::kMeasured) {
        if (!section.remark.empty()) section.remark += " · ";
        section.remark +=
            o.isolation + " " + std::to_string(o.concurrency) + ": " + o.reason;
      }
    }
    table.sections.push_back(std::move(section));
  }
  return table;
}

report::Table short_table(const Comparison& c) {
  std::vector<std::string> at;
  for (std::size_t n : concurrencies(c)) at.push_back(std::to_string(n));
  const std::string heads = join(at, " / ");
  report::Table table{{{"isolation", Align::kLeft},
                       {"jobs/s, " + heads + " at once"},
                       {"× " + c.baseline},
                       {"p50 ms"},
                       {"p99 ms"},
                       {"CPU ms a job"},
                       {"peak MiB, host + child"},
                       {"wrong hashes"}},
                      {}};
  for (const std::string& pair : pairs(c)) {
    report::Section section{pair, {}, {}};
    if (const std::string reason = refusal(c, pair); !reason.empty()) {
      section.remark = "refused: " + reason;
    }
    for (const std::string& isolation : isolations(c)) {
      double cpu = 0, jobs = 0;
      std::uint64_t host = 0, child = 0;
      std::size_t wrong = 0, hashes = 0;
      for (std::size_t n : concurrencies(c)) {
        const Outcome* o = measured(c, pair, isolation, n);
        if (o == nullptr) continue;
        cpu += o->measured.cpu_host_s + o->measured.cpu_children_s;
        jobs += static_cast<double>(o->measured.jobs);
        host = std::max(host, o->measured.peak_host_bytes);
        child = std::max(child, o->measured.peak_child_bytes);
        wrong += o->measured.wrong;
        hashes += o->measured.hashes;
      }
      if (jobs == 0) continue;
      const auto figures = [&](auto&& figure) {
        return across(c, pair, isolation, figure);
      };
      section.rows.push_back(
          {{{isolation},
            {figures([](const Outcome& o) {
              return report::grouped(
                  static_cast<unsigned long long>(o.measured.jobs_per_second + 0.5));
            })},
            {figures([](const Outcome& o) { return report::fixed(o.to_baseline, 2); })},
            {figures([](const Outcome& o) { return brief(o.measured.p50_ms); })},
            {figures([](const Outcome& o) { return brief(o.measured.p99_ms); })},
            {brief(cpu * 1000 / jobs)},
            {mebibytes(host) + (child > 0 ? " + " + mebibytes(child) : "")},
            {report::grouped(wrong) + " of " + report::grouped(hashes),
             wrong > 0 ? Tone::kBad : Tone::kPlain}}});
    }
    table.sections.push_back(std::move(section));
  }
  return table;
}

std::string markdown(const Comparison& c) {
  return report::markdown(short_table(c), "queue × store") + "\n" + c.work + " " +
         machine_line(c.facts) +
         "\n\n<details><summary>Every combination by itself</summary>\n\n" +
         report::markdown(full_table(c), "queue × store") + "\n</details>\n";
}

std::vector<std::string> findings(const Comparison& c) {
  std::vector<std::string> out;
  for (const std::string& isolation : isolations(c)) {
    std::size_t hashes = 0;
    const std::size_t wrong = wrong_of(c, isolation, hashes);
    if (hashes == 0) continue;
    double best = 0;
    std::string where;
    for (const Outcome& o : c.outcomes) {
      if (o.isolation == isolation && o.to_baseline > best) {
        best = o.to_baseline;
        where = pair_name(o) + ", " + std::to_string(o.concurrency) + " at once";
      }
    }
    std::string text = isolation + ": ";
    text += wrong == 0 ? "none of " + report::grouped(hashes) + " hashes wrong"
                       : report::grouped(wrong) + " of " + report::grouped(hashes) +
                             " hashes wrong";
    if (isolation == c.baseline) {
      text += "; what the others are measured against.";
    } else if (best > 0) {
      text += "; at best " + report::fixed(best, 2) + " × " + c.baseline + " (" + where +
              ").";
    } else {
      text += ".";
    }
    out.push_back(std::move(text));
  }
  return out;
}

std::string machine_line(const report::Facts& f) {
  std::vector<std::string> parts;
  if (!f.processor.empty()) parts.push_back(f.processor);
  parts.push_back(std::to_string(f.cores) +
                  (f.cores == 1 ? " processor" : " processors"));
  if (!f.system.empty()) parts.push_back(f.system);
  if (!f.kernel.empty()) parts.push_back(f.kernel);
  parts.push_back(f.date.substr(0, 10));
  return join(parts, ", ") + ".";
}

}  // namespace compare
