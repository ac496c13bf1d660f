// One trial, in a process of its own: every conversion once, in one isolation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "conversion.h"

namespace convert_web {

// What the parent writes into the trial's folder, as work.json.
struct TrialWork {
  std::string way;    // an isolation of the engine
  std::string store;  // a URL
  std::string queue;  // a name that is this trial's alone
  std::size_t at_once = 4;
  std::vector<ConversionJob> jobs;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialWork, way, store, queue, at_once, jobs)

// What comes back, as result.json.
struct TrialResult {
  std::string error;  // it could not be run, or did not end
  double seconds = 0;
  std::size_t converted = 0;
  std::map<std::string, std::string> refused;  // by output, the sentence
  std::map<std::string, std::size_t> crashed;  // otherwise ended, by how
  std::uint64_t reports = 0;                   // that the conversions made
  std::uint64_t beats = 0;                     // writes to the store while they ran
  std::uint64_t progress_writes = 0;           // of them, those with progress
  double cpu_seconds = 0;                      // host and children
  std::uint64_t before_bytes = 0;              // of the host, before the first
  std::uint64_t peak_bytes = 0;                // of the host
  std::uint64_t child_bytes = 0;               // of the largest child
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialResult, error, seconds, converted, refused,
                                   crashed, reports, beats, progress_writes, cpu_seconds,
                                   before_bytes, peak_bytes, child_bytes)

// The whole of the process; its exit code.
int run_trial(const std::filesystem::path& folder);

}  // namespace convert_web
