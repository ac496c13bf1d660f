// The example itself: grades what ships every way, and tells what came out.
#pragma once

#include <string>
#include <vector>

namespace grader {

enum Exit {
  kOk = 0,
  kNotAsItMust = 1,
  kBadInput = 2,
  kAway = 4,
  kSkipped = 77,
  kInterrupted = 130
};

struct CompareOptions {
  std::vector<std::string> stores;  // URLs; empty: SQLite in a temporary folder
  std::string files;                // the folder of this example
  std::size_t at_once = 4;
  std::int64_t wall_s = 20;
  std::size_t rounds = 3;
  std::string json, html;
  std::string command;  // that makes it again
  bool quick = false;
};

// Prints; answers with an exit code. kSkipped: this machine has no sandbox.
int compare(const CompareOptions& options);

int complain(const std::string& message, int code);

}  // namespace grader
