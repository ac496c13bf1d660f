// One trial, in a process of its own: everything that ships, graded one way; or pulls
// among pushes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "canary.h"
#include "grade.h"

namespace grader {

// What the parent writes into the trial's folder, as work.json.
struct TrialWork {
  std::string way;    // "system", "fork", "exec", "sandbox"
  std::string store;  // a URL; a relative sqlite path is in the trial's folder
  std::string
      order;         // "": grade everything; else "strict" or "mixed": pulls among pushes
  std::string name;  // of its queues, so that they are this trial's alone
  std::size_t at_once = 4;
  std::int64_t wall_s = 20;  // what a submission may sleep
  std::size_t rounds = 1;    // of those that are timed; or of pulls
  std::string files;         // the folder of submissions, problems and steps.toml
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialWork, way, store, order, name, at_once, wall_s,
                                   rounds, files)

struct Row {
  std::string name;
  std::string right;  // the verdict that it should have
  Grade grade;        // no verdict: it could not be graded
  std::string error;  // then
  std::string withheld;
  bool hostile = false;
  Escape escape;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Row, name, right, grade, error, withheld, hostile,
                                   escape)

// How pulls fared among pushes. All times in milliseconds.
struct Waits {
  std::vector<double> pulls;  // from the enqueue to the start of each, sorted
  std::vector<double> pushes;
  std::size_t overtaken = 0;  // pushes that started while a pull waited
  double longest_ms = 0;      // that any pull had waited when a push started
  double race_ms = 0;         // younger pulls may not have been seen by that claim
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Waits, pulls, pushes, overtaken, longest_ms, race_ms)

// What comes back, as result.json.
struct TrialResult {
  std::string error;    // it could not be run
  std::string skipped;  // this machine cannot: the missing feature
  std::vector<Row> rows;
  std::size_t graded = 0;  // of those that are timed
  double seconds = 0;
  Waits waits;
  std::vector<std::string> left;  // what should be gone and is not
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrialResult, error, skipped, rows, graded, seconds,
                                   waits, left)

// The whole of the process; its exit code.
int run_trial(const std::filesystem::path& folder);

}  // namespace grader
