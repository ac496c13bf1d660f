// One run of one way, in a process of its own: the program itself, as "--trial FOLDER".
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace sms {

struct TrialResult {
  long long left = 0;     // credits
  double seconds = 0;     // from the first recipient to the last
  std::size_t kills = 0;  // of workers, by kill -9
  std::string error;      // empty: it went through
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialResult, left, seconds, kills, error)

// Reads FOLDER/work.json, sets the credits, starts the workers and lets them send to all
// recipients; starts one again that is killed. Writes FOLDER/result.json. An exit code.
int run_trial(const std::filesystem::path& folder);

}  // namespace sms
