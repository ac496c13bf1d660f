// All that a run of the comparison found, and whether it is as it must be.
#pragma once

#include <report/facts.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runner.h"

namespace convert_web {

struct Trial {
  std::string way;               // "thread", "mutex", "fork", "exec"
  std::string store;             // as the tables call it
  std::size_t count = 0;         // conversions
  std::size_t broken = 0;        // of them, of files that are broken
  std::uint64_t leak_bytes = 0;  // of each
  TrialResult result;
  std::string died;  // how its process ended, if not by itself
  // Outputs that are what they must be to the byte, and broken files refused with the
  // very sentence.
  std::size_t right = 0;
  std::string first_wrong;

  std::uint64_t grown_bytes() const;  // the host, over what it was before
  double per_second() const;
  double writes_per_1000_reports() const;
};
void to_json(nlohmann::json& j, const Trial& trial);

struct Report {
  report::Facts facts;
  std::string work;     // one sentence: what was converted
  std::string bounded;  // one sentence, where it leaks less than was asked for
  std::string command;  // that makes it again
  bool quick = false;
  double seconds = 0;
  std::vector<Trial> trials;
};
void to_json(nlohmann::json& j, const Report& report);  // with the verdict

std::string name_of(const Trial& trial);  // "fork, sqlite"
// In a process of its own, with which what leaks dies.
bool isolated(const Trial& trial);

// What is not as it must be, a sentence each: every output is right everywhere; a host of
// threads keeps what leaks, one of processes does not; and reports do not load the store.
std::vector<std::string> judge(const Report& report);

}  // namespace convert_web
