// Whether the programs of the configuration are there.
#pragma once

#include <carrel/config.h>

#include <string>
#include <vector>

namespace carrel::cli {

struct ProgramCheck {
  std::string kind;
  std::string text;  // where its program is, or why a job of it could not begin
  bool works = true;
};

// One for each kind with a command but those in a sandbox, which see other files: looked
// for as a run in this environment would.
std::vector<ProgramCheck> check_programs(const Config& config);

}  // namespace carrel::cli
