#include "results.h"

#include <report/text.h>

namespace convert_web {
namespace {

// While something runs, the engine writes once in each beat of 500 ms, whatever is
// reported. A third more for what begins and ends.
double most_beats(double seconds) { return 3 + seconds * 2 * 4 / 3; }

std::string in_mib(std::uint64_t bytes) { return report::grouped(bytes >> 20) + " MiB"; }

void judge_trial(const Trial& t, std::vector<std::string>& out) {
  const auto say = [&](const std::string& what) {
    out.push_back(name_of(t) + ": " + what);
  };
  if (!t.died.empty()) say(t.died);
  if (!t.result.error.empty()) say(t.result.error);
  for (const auto& [how, count] : t.result.crashed) {
    say(std::to_string(count) + " conversions ended as " + how);
  }
  if (t.right != t.count) {
    say("only " + std::to_string(t.right) + " of " + std::to_string(t.count) +
        " conversions came out as they must; the first that did not is " + t.first_wrong);
  }
  const std::uint64_t leaked = t.count * t.leak_bytes;
  if (isolated(t)) {
    // Beside what a host needs to hold so many jobs.
    if (t.grown_bytes() > t.leak_bytes) {
      say("the host grew by " + in_mib(t.grown_bytes()) +
          ", though what leaked died with "
          "its process");
    }
    if (t.result.child_bytes < t.leak_bytes) {
      say("no child held what it leaked: the example shows nothing");
    }
  } else if (t.grown_bytes() < leaked * 9 / 10) {
    say("the host grew by only " + in_mib(t.grown_bytes()) + ", though " + in_mib(leaked) +
        " leaked: the example shows nothing");
  }
  if (static_cast<double>(t.result.beats) > most_beats(t.result.seconds)) {
    say(std::to_string(t.result.beats) + " writes to the store in " +
        report::fixed(t.result.seconds, 1) + " s, for " +
        std::to_string(t.result.reports) + " reports: reports load the store");
  }
  if (t.result.reports == 0) say("nothing reported its progress");
}

}  // namespace

std::uint64_t Trial::grown_bytes() const {
  return result.peak_bytes - std::min(result.peak_bytes, result.before_bytes);
}

double Trial::per_second() const {
  return result.seconds > 0 ? static_cast<double>(count) / result.seconds : 0;
}

double Trial::writes_per_1000_reports() const {
  return result.reports > 0 ? 1000 * static_cast<double>(result.beats) /
                                  static_cast<double>(result.reports)
                            : 0;
}

bool isolated(const Trial& trial) { return trial.way == "fork" || trial.way == "exec"; }

std::string name_of(const Trial& trial) { return trial.way + ", " + trial.store; }

std::vector<std::string> judge(const Report& report) {
  std::vector<std::string> out;
  for (const Trial& trial : report.trials) judge_trial(trial, out);
  return out;
}

void to_json(nlohmann::json& j, const Trial& t) {
  j = {{"way", t.way},
       {"store", t.store},
       {"conversions", t.count},
       {"broken_files", t.broken},
       {"leak_bytes", t.leak_bytes},
       {"right", t.right},
       {"died", t.died},
       {"seconds", t.result.seconds},
       {"per_second", t.per_second()},
       {"cpu_seconds", t.result.cpu_seconds},
       {"host_before_bytes", t.result.before_bytes},
       {"host_peak_bytes", t.result.peak_bytes},
       {"child_peak_bytes", t.result.child_bytes},
       {"reports", t.result.reports},
       {"store_writes", t.result.beats},
       {"store_writes_with_progress", t.result.progress_writes},
       {"store_writes_per_1000_reports", t.writes_per_1000_reports()}};
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
       {"bounded", r.bounded},
       {"seconds", r.seconds},
       {"trials", r.trials},
       {"violations", judge(r)}};
}

}  // namespace convert_web
