// All that a run of this example found, and whether it is as it must be.
#pragma once

#include <report/facts.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trial.h"
#include "ways.h"

namespace sms {

// One run of one way, as the gateway and the database know it.
struct Run {
  TrialResult result;
  std::size_t requests = 0;  // that the gateway got
  std::size_t messages = 0;  // that it sent
  std::string died;          // how its process ended, if not by itself
};
void to_json(nlohmann::json& j, const Run& run);

struct Group {
  Way way;
  std::size_t credits = 0;
  std::size_t recipients = 0;
  std::vector<Run> runs;

  bool failed(const Run& run) const {
    return !run.died.empty() || !run.result.error.empty();
  }
  // As many messages as credits, and none left.
  bool right(const Run& run) const;
  bool overspent(const Run& run) const;  // more messages than credits
  std::size_t count_right() const;
  std::size_t count_overspent() const;
  std::size_t most_messages() const;
  std::size_t least_messages() const;
};
void to_json(nlohmann::json& j, const Group& group);

struct Report {
  report::Facts facts;
  std::string work;
  std::string command;
  bool quick = false;
  double seconds = 0;
  std::vector<Group> groups;
};
void to_json(nlohmann::json& j, const Report& report);  // with the verdict

// "is right in all 50 runs", "overspends in 49 of 50 runs".
std::string verdict(const Group& group);

// What is not as it must be, a sentence each.
std::vector<std::string> judge(const Report& report);

}  // namespace sms
