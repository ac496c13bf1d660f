// One submission through all tests of its problem.
#pragma once

#include <carrel/result.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>

#include "problem.h"
#include "submission.h"
#include "verdict.h"

namespace grader {

// Where one submission is compiled and run; made for it, and gone with it. Used by one
// thread. An error of any call says nothing about the submission: it is to be tried
// again.
class Bench {
 public:
  virtual ~Bench() = default;
  virtual carrel::Result<Ran> compile() = 0;
  virtual carrel::Result<Ran> run(const std::string& input) = 0;  // compiled before
};

// Benches of one way to run things. Threads: every call is safe beside every other.
class Benches {
 public:
  virtual ~Benches() = default;
  // `stop`: what runs on it is then ended, with an error.
  virtual carrel::Result<std::unique_ptr<Bench>> make(const Submission& submission,
                                                      std::stop_token stop) = 0;
};

// What is recorded: the result of the job.
struct Grade {
  std::string verdict;     // "AC"
  std::string test;        // at which it ended; empty: none, or it is accepted
  std::string message;     // why, for the student
  std::string output;      // what it printed there, the first 2 KiB
  double cpu_ms = 0;       // of all its runs
  double peak_mib = 0;     // of its largest process
  bool leftovers = false;  // it left processes behind
  std::vector<std::string> enforced;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Grade, verdict, test, message, output, cpu_ms,
                                   peak_mib, leftovers, enforced)

inline constexpr std::uint64_t kMemory = 128 << 20;  // what a submission may use

carrel::Result<Grade> grade(const Problem& problem, Bench& bench);

}  // namespace grader
