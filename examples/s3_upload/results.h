// All that a run of this example found, and whether it is as it must be.
#pragma once

#include <report/facts.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runner.h"

namespace s3 {

struct Trial {
  std::string way;    // "thread", "mutex", "fork", "fork_to"
  std::string store;  // as the tables call it; "–" where there is none
  bool faults = false;
  std::size_t at_once = 8;
  std::size_t files = 0;
  TrialResult result;
  std::string died;           // how its process ended, if not by itself
  std::size_t right = 0;      // objects that are what their file is
  std::size_t different = 0;  // that are something else
  std::size_t missing = 0;
  nlohmann::json server;  // what the stand-in did: {"stored": 1, "hung": 1, …}

  double per_second() const;  // completed uploads
  // Attempts that failed, however.
  std::size_t failures() const;
};
void to_json(nlohmann::json& j, const Trial& trial);

struct Report {
  report::Facts facts;
  std::string work;     // one sentence: what was uploaded where
  std::string command;  // that makes it again
  bool quick = false;
  bool speed_counts = false;  // enough files, and a server that takes its time
  double seconds = 0;
  std::vector<Trial> trials;
};
void to_json(nlohmann::json& j, const Report& report);  // with the verdict

// Uploads a second over those of the mutex on the same store, without faults; 0: none.
double ratio(const Report& report, const Trial& trial);

// "fork, sqlite".
std::string name_of(const Trial& trial);

// What is not as it must be, a sentence each: plain threads must spoil something; nothing
// else may lose, change or leave anything; and a process an upload is 7.5 times as fast
// as a mutex where `speed_counts`.
std::vector<std::string> judge(const Report& report);

}  // namespace s3
