// Runs trials in processes of their own.
#pragma once

#include <carrel/result.h>

#include <string>
#include <utility>
#include <vector>

#include "results.h"

namespace grader {

struct Plan {
  // Name and URL; a relative sqlite path is in a folder of the trial.
  std::vector<std::pair<std::string, std::string>> stores;
  std::string files;  // the folder of this example
  std::size_t at_once = 4;
  std::size_t rounds = 3;
  std::int64_t wall_s = 20;
};

// What is to be tried, in the order of the tables: every way on the first store, the
// sandbox on the others, and both orders on each.
std::vector<Trial> trials(const Plan& plan);

// Fills the rest of `trial`. kCancelled: the user interrupted. trial::become_reaper() was
// called.
carrel::Result<void> measure(const Plan& plan, std::size_t number, Trial& trial);

}  // namespace grader
