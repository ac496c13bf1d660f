// Runs trials in processes of their own, and compares every output.
#pragma once

#include <carrel/result.h>

#include <string>
#include <utility>
#include <vector>

#include "results.h"

namespace convert_web {

struct Plan {
  std::size_t count = 200;                 // conversions of a trial
  std::uint64_t leak_bytes = 50ULL << 20;  // of each
  std::size_t at_once = 4;
  // Name and URL; a relative sqlite path is in a folder of the trial.
  std::vector<std::pair<std::string, std::string>> stores;
};

// What is to be tried, in the order of the table.
std::vector<Trial> trials(const Plan& plan);

// Fills the rest of `trial`. `number` names its queue. kCancelled: the user interrupted.
// trial::become_reaper() was called.
carrel::Result<void> measure(const Plan& plan, std::size_t number, Trial& trial);

// What `plan` may leak of each conversion without filling this machine: its free memory,
// less a reserve. At most plan.leak_bytes, in whole MiB.
std::uint64_t affordable_leak(const Plan& plan);

}  // namespace convert_web
