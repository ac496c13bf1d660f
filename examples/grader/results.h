// All that a run of this example found, and whether it is as it must be.
#pragma once

#include <report/facts.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trial.h"

namespace grader {

struct Trial {
  std::string way;
  std::string store;  // as the tables call it
  std::string order;  // see TrialWork
  TrialResult result;
  std::string died;  // how its process ended, if not by itself

  bool ran() const {
    return died.empty() && result.error.empty() && result.skipped.empty();
  }
  double per_second() const;
  std::size_t right() const;    // submissions with the verdict that they should have
  std::size_t graded() const;   // that were not withheld
  std::size_t escaped() const;  // submissions that did something outside
};
void to_json(nlohmann::json& j, const Trial& trial);

struct Report {
  report::Facts facts;
  std::string work;     // one sentence: what was graded
  std::string command;  // that makes it again
  bool quick = false;
  double seconds = 0;
  std::vector<Trial> trials;
};
void to_json(nlohmann::json& j, const Report& report);  // with the verdict

std::string name_of(const Trial& trial);  // "sandbox, sqlite"

// The missing feature, if the sandbox could not be tried.
std::string skipped(const Report& report);

// What is not as it must be, a sentence each: in the sandbox every verdict is right, and
// nothing escapes or is left; outside it something does escape; and in the strict order
// no push starts while a pull waits.
std::vector<std::string> judge(const Report& report);

}  // namespace grader
