// One trial, in a process of its own: every file uploaded once, one way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "s3_client.h"

namespace s3 {

// What the parent writes into the trial's folder, as work.json.
struct TrialWork {
  std::string way;    // an isolation of the engine, or "fork_to": the plain call
  std::string store;  // a URL; of no matter to fork_to
  std::string queue;  // a name that is this trial's alone
  std::size_t at_once = 8;
  std::int64_t timeout_ms = 10'000;        // of one attempt: the engine's, or fork_to's
  std::int64_t client_timeout_ms = 2'000;  // of one request: the client's own
  std::vector<std::string> files;
  std::vector<std::string> keys;  // one a file
  std::string endpoint, region, bucket, access_key, secret_key;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialWork, way, store, queue, at_once, timeout_ms,
                                   client_timeout_ms, files, keys, endpoint, region,
                                   bucket, access_key, secret_key)

// What comes back, as result.json.
struct TrialResult {
  std::string error;          // it could not be run, or did not end
  double seconds = 0;         // from the enqueue of all to the end of the last
  std::size_t completed = 0;  // uploads that say so
  std::size_t given_up = 0;   // that failed for good
  std::map<std::string, std::size_t> failed;  // attempts, by how they ended
  std::string why;                            // what the first of them said
  std::vector<std::string> left;              // what should be gone and is not
  double cpu_seconds = 0;                     // host and children
  std::uint64_t peak_bytes = 0;               // of the host
  std::uint64_t child_bytes = 0;              // of the largest child
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialResult, error, seconds, completed, given_up,
                                   failed, why, left, cpu_seconds, peak_bytes,
                                   child_bytes)

Settings settings_of(const TrialWork& work);

// The whole of the process; its exit code.
int run_trial(const std::filesystem::path& folder);

}  // namespace s3
