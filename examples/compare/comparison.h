// The result of a run as values: what was measured, what was refused, and whether the
// hashes came out as they must.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plan.h"
#include "report/facts.h"

namespace compare {

enum class Status {
  kMeasured,
  kRefused,  // the library says that this combination cannot hold
  kFailed,   // it should have run and did not
};

NLOHMANN_JSON_SERIALIZE_ENUM(Expect,
                             {{Expect::kNoneWrong, "none"}, {Expect::kSomeWrong, "some"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Status, {{Status::kFailed, "failed"},
                                      {Status::kMeasured, "measured"},
                                      {Status::kRefused, "refused"}})

// What one combination's own process measured; see cell.h.
struct Measured {
  double jobs_per_second = 0;
  double p50_ms = 0, p99_ms = 0;  // enqueue → finish committed
  double cpu_host_s = 0;          // user + system, while jobs ran
  double cpu_children_s = 0;      // of every process that it started, to their end
  std::uint64_t peak_host_bytes = 0;
  std::uint64_t peak_child_bytes = 0;  // of the largest; 0: there was none
  std::size_t jobs = 0;                // that the CPU seconds were spent on
  std::size_t hashes = 0;
  std::size_t wrong = 0;
};
void to_json(nlohmann::json& j, const Measured& m);
void from_json(const nlohmann::json& j, Measured& m);

struct Outcome {
  std::string queue, store, isolation;
  std::size_t concurrency = 1;
  Expect expect = Expect::kNoneWrong;
  Status status = Status::kFailed;
  std::string reason;  // of kRefused and kFailed
  Measured measured;   // of kMeasured
  double to_baseline =
      0;  // jobs/s over the baseline's, same queue, store, concurrency; 0: none
};

struct Comparison {
  report::Facts facts;
  std::string work;  // one sentence: what a job was
  std::string baseline;
  std::string command;  // that makes it again
  bool quick = false;
  double seconds = 0;             // the whole run took
  std::vector<Outcome> outcomes;  // in the order of combinations()
};
void to_json(nlohmann::json& j, const Comparison& c);    // with the verdict
void from_json(const nlohmann::json& j, Comparison& c);  // throws Json::exception

void set_ratios(Comparison& comparison);

// What is not as it must be, one sentence each; empty: all is well. Where wrong hashes
// are expected, they must appear at every concurrency above 1 and never at 1; elsewhere
// never. Nothing may have failed, and something must have been measured.
std::vector<std::string> judge(const Comparison& comparison);

// A sentence if the machine had other work when the run began; else empty.
std::string busy_warning(const Comparison& comparison);

// Queue and store as the tables call them: "memory × sqlite".
std::string pair_name(const Outcome& outcome);

// Of the distinct values, in the order of their first appearance.
std::vector<std::string> pairs(const Comparison& comparison);
std::vector<std::string> isolations(const Comparison& comparison);
std::vector<std::size_t> concurrencies(const Comparison& comparison);
// nullptr: not measured.
const Outcome* measured(const Comparison& comparison, const std::string& pair,
                        const std::string& isolation, std::size_t concurrency);

}  // namespace compare
