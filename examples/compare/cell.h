// One combination, in a process of its own: opens an engine by its configuration, gives
// it the work, measures, and checks every hash.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "comparison.h"

namespace compare {

// What the parent writes into a cell's folder, as work.json, beside engine.toml.
struct CellWork {
  std::filesystem::path words;      // one a line; jobs take them in turn
  std::filesystem::path reference;  // their right hashes, line by line
  std::string setting;
  std::size_t words_per_job = 1;
  std::size_t jobs = 1;
  std::size_t latency_jobs = 1;
  std::size_t in_flight = 1;  // of the latency run
  std::int64_t timeout_seconds = 60;
};
void to_json(nlohmann::json& j, const CellWork& work);
void from_json(const nlohmann::json& j, CellWork& work);

// What comes back, as result.json.
struct CellResult {
  Status status = Status::kFailed;
  std::string reason;
  Measured measured;
};
void to_json(nlohmann::json& j, const CellResult& result);
void from_json(const nlohmann::json& j, CellResult& result);

// The whole of the child process; its exit code. Starts no thread before the engine's
// process server is up.
int run_cell(const std::filesystem::path& folder);

}  // namespace compare
