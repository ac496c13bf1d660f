#include "results.h"

#include <report/text.h>

namespace s3 {
namespace {

constexpr double kFasterThanMutex = 7.5;

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

void judge_threads(const Trial& trial, std::vector<std::string>& out) {
  if (trial.died.empty() && trial.different + trial.missing + trial.failures() == 0) {
    out.push_back("thread: nothing went wrong, though " + std::to_string(trial.at_once) +
                  " threads shared one client: the example shows nothing");
  }
}

void judge_isolated(const Trial& trial, std::vector<std::string>& out) {
  const auto say = [&](const std::string& what) {
    out.push_back(name_of(trial) + ": " + what);
  };
  if (!trial.died.empty()) say(trial.died);
  if (!trial.result.error.empty()) say(trial.result.error);
  if (trial.different + trial.missing > 0) {
    say(std::to_string(trial.missing) + " objects are missing and " +
        std::to_string(trial.different) + " are not what was uploaded");
  }
  if (trial.result.completed != trial.files) {
    say("only " + std::to_string(trial.result.completed) + " of " +
        std::to_string(trial.files) + " uploads completed");
  }
  if (!trial.faults && trial.failures() > 0) {
    say(std::to_string(trial.failures()) +
        " attempts failed where none should; the first: " + trial.result.why);
  }
  if (trial.faults) {
    // The engine and the plain call name a time-out each in their own list.
    const auto& failed = trial.result.failed;
    if (trial.server.value("hung", 0U) == 0) {
      say("the server came to let no upload hang");
    } else if (failed.count("wall_timeout") + failed.count("timeout") == 0) {
      say("no upload ran out of time, though the server let some hang");
    }
    if (failed.size() < 2) say("no upload was refused or cut off");
  }
  if (!trial.result.left.empty()) say("left behind: " + joined(trial.result.left));
}

}  // namespace

double Trial::per_second() const {
  return result.seconds > 0 ? static_cast<double>(result.completed) / result.seconds : 0;
}

std::size_t Trial::failures() const {
  std::size_t sum = 0;
  for (const auto& [how, count] : result.failed) sum += count;
  return sum;
}

double ratio(const Report& report, const Trial& trial) {
  if (trial.faults || trial.per_second() == 0) return 0;
  for (const Trial& other : report.trials) {
    const bool same = other.store == trial.store || trial.way == "fork_to";
    if (other.way == "mutex" && same && other.per_second() > 0) {
      return trial.per_second() / other.per_second();
    }
  }
  return 0;
}

std::string name_of(const Trial& trial) {
  return trial.way + (trial.store == "–" ? "" : ", " + trial.store) +
         (trial.faults ? ", with faults" : "");
}

std::vector<std::string> judge(const Report& report) {
  std::vector<std::string> out;
  for (const Trial& trial : report.trials) {
    if (trial.way == "thread") {
      judge_threads(trial, out);
    } else {
      judge_isolated(trial, out);
    }
    const double times = ratio(report, trial);
    if (report.speed_counts && trial.way == "fork" && times > 0 &&
        times < kFasterThanMutex) {
      out.push_back(name_of(trial) + ": " + report::fixed(times, 2) +
                    " times the mutex; it should be " +
                    report::fixed(kFasterThanMutex, 1));
    }
  }
  return out;
}

void to_json(nlohmann::json& j, const Trial& t) {
  j = {{"way", t.way},
       {"store", t.store},
       {"faults", t.faults},
       {"at_once", t.at_once},
       {"files", t.files},
       {"result", t.result},
       {"died", t.died},
       {"right", t.right},
       {"different", t.different},
       {"missing", t.missing},
       {"server", t.server},
       {"uploads_per_second", t.per_second()}};
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
       {"trials", nlohmann::json::array()},
       {"violations", judge(r)}};
  for (const Trial& trial : r.trials) {
    nlohmann::json one = trial;
    one["times_mutex"] = ratio(r, trial);
    j["trials"].push_back(std::move(one));
  }
}

}  // namespace s3
