#include "results.h"

#include <report/text.h>

#include <algorithm>

namespace sms {

void to_json(nlohmann::json& j, const Run& run) {
  j = run.result;
  j["requests"] = run.requests;
  j["messages"] = run.messages;
  if (!run.died.empty()) j["died"] = run.died;
}

bool Group::right(const Run& run) const {
  return !failed(run) && run.messages == std::min(credits, recipients) &&
         run.result.left == static_cast<long long>(credits - run.messages);
}

bool Group::overspent(const Run& run) const {
  return !failed(run) && run.messages > credits;
}

std::size_t Group::count_right() const {
  return static_cast<std::size_t>(std::count_if(
      runs.begin(), runs.end(), [&](const Run& run) { return right(run); }));
}

std::size_t Group::count_overspent() const {
  return static_cast<std::size_t>(std::count_if(
      runs.begin(), runs.end(), [&](const Run& run) { return overspent(run); }));
}

std::size_t Group::most_messages() const {
  std::size_t most = 0;
  for (const Run& run : runs) most = std::max(most, run.messages);
  return most;
}

std::size_t Group::least_messages() const {
  std::size_t least = most_messages();
  for (const Run& run : runs) least = std::min(least, run.messages);
  return least;
}

void to_json(nlohmann::json& j, const Group& group) {
  j = {{"way", group.way.name},
       {"guard", group.way.what},
       {"isolation", group.way.isolation},
       {"processes", group.way.processes},
       {"must_be_right", group.way.right},
       {"credits", group.credits},
       {"recipients", group.recipients},
       {"right", group.count_right()},
       {"overspent", group.count_overspent()},
       {"runs", group.runs}};
}

void to_json(nlohmann::json& j, const Report& report) {
  j = {{"date", report.facts.date},     {"processor", report.facts.processor},
       {"cores", report.facts.cores},   {"system", report.facts.system},
       {"kernel", report.facts.kernel}, {"compiler", report.facts.compiler},
       {"build", report.facts.build},   {"work", report.work},
       {"quick", report.quick},         {"seconds", report.seconds},
       {"ways", report.groups},         {"not_as_it_must_be", judge(report)}};
}

std::string verdict(const Group& group) {
  const std::string runs = report::grouped(group.runs.size());
  if (group.count_right() == group.runs.size())
    return "is right in all " + runs + " runs";
  std::string text = "overspends in " + report::grouped(group.count_overspent()) +
                     " of " + runs + " runs";
  if (group.count_right() > 0) {
    text += "; chance let " + report::grouped(group.count_right()) + " be right";
  }
  return text;
}

std::vector<std::string> judge(const Report& report) {
  std::vector<std::string> out;
  for (const Group& group : report.groups) {
    for (const Run& run : group.runs) {
      if (group.failed(run)) {
        out.push_back(group.way.name + ": a run failed: " +
                      (run.died.empty() ? run.result.error : run.died) + ".");
      } else if (group.way.kill && run.result.kills == 0) {
        out.push_back(group.way.name + ": nobody was killed.");
      }
    }
    if (group.way.right && group.count_right() != group.runs.size()) {
      out.push_back(group.way.name + " must be right, and " + verdict(group) + ".");
    }
    if (!group.way.right && group.count_overspent() == 0) {
      out.push_back(group.way.name +
                    " was not seen to overspend, so this shows nothing.");
    }
  }
  return out;
}

}  // namespace sms
