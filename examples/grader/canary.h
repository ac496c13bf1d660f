// What must stay as it is while submissions run, and whoever listens for them: so that
// what escapes is seen. One for each submission, so that it is known by name.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "submission.h"

namespace grader {

// What one submission did outside the place that it was given.
struct Escape {
  bool read = false;   // the site's secret is in what was recorded, or its answers are
  bool wrote = false;  // a file of the site is changed, new or gone
  std::size_t connections = 0;  // that the listener got
  std::size_t processes = 0;    // that live on
  bool any() const { return read || wrote || connections > 0 || processes > 0; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Escape, read, wrote, connections, processes)

// "read, connected".
std::string words_of(const Escape& escape);

class Canary {
 public:
  // Below `folder`, with the site's copy of the tests of `problem`; listens on 127.0.0.1.
  // Throws std::system_error.
  Canary(const std::filesystem::path& folder, const std::filesystem::path& problem,
         const Submission& submission);
  ~Canary();
  Canary(const Canary&) = delete;
  Canary& operator=(const Canary&) = delete;

  // The submission as it is handed in: @CANARY@ and @PORT@ of its source are this one.
  Submission aimed(Submission submission) const;

  // `recorded`: all that was recorded of its grade. Kills the processes that it counts.
  Escape look(const std::string& recorded) const;

 private:
  std::map<std::string, std::string> files() const;

  const std::filesystem::path folder_;
  const std::string name_;
  std::string secret_;
  int listener_ = -1;
  int port_ = 0;
  std::map<std::string, std::string> before_;  // name → content
};

// A password that is in the environment of this process from now on, as a site's own is.
std::string plant_password();

// Processes of this machine that have that mark in their environment.
std::vector<pid_t> marked_processes(const std::string& name);

}  // namespace grader
