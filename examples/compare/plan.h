// What to compare, read from a TOML file: adding a combination changes the file, no code.
#pragma once

#include <carrel/result.h>
#include <toml++/toml.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace compare {

// A queue or a store: what the tables call it, and its URL.
struct Place {
  std::string name;
  std::string url;
};

// What is expected of an isolation's hashes when several jobs run at once.
enum class Expect { kNoneWrong, kSomeWrong };

struct Way {
  std::string name;
  Expect expect = Expect::kNoneWrong;
  toml::table job;  // keys of [jobs.hash] in the engine's configuration
};

struct Plan {
  std::vector<Place> queues;
  std::vector<Place> stores;
  std::vector<Way> isolations;
  std::vector<std::size_t> concurrency;
  std::string baseline;  // name of the isolation that the others are measured against

  std::filesystem::path dictionary;  // one word a line
  std::filesystem::path fallback;    // where `dictionary` is not there
  std::string setting;               // for crypt(3)
  std::size_t words_per_job = 16;
  std::size_t jobs = 300;            // of the throughput run
  std::size_t latency_jobs = 200;    // of the latency run
  std::chrono::seconds timeout{60};  // of one combination

  toml::table engine;  // keys of every engine's configuration
};

// `quick`: with what [quick] changes. Unknown keys, wrong types and empty lists are
// kInvalid with file and line. "{here}" in a job's command is the folder of this program.
carrel::Result<Plan> read_plan(const std::filesystem::path& file, bool quick);
carrel::Result<Plan> parse_plan(std::string_view text,
                                const std::filesystem::path& source, bool quick);

// One queue × store × isolation × concurrency.
struct Combination {
  Place queue, store;
  Way isolation;
  std::size_t concurrency = 1;
};
// Those that are compared with each other stand side by side: by queue and store, then by
// concurrency, then by isolation.
std::vector<Combination> combinations(const Plan& plan);

// The configuration of the engine of one combination. `jobs_queue`: the named queue that
// its jobs go through, so that what else is in the store is left alone.
std::string engine_toml(const Plan& plan, const Combination& combination,
                        const std::string& jobs_queue);

}  // namespace compare
