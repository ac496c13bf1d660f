// One run of a program in a sandbox, by hand or to try what this machine can do.
#pragma once

#include <carrel/engine.h>

#include <string>
#include <vector>

namespace carrel::cli {

struct SandboxedRun {
  std::string profile;  // of the configuration, or a tier
  std::vector<std::string> command;
  Json args;
  Duration timeout{0};
};

// An engine in memory for this one job; blocks until it has ended. An error: there was no
// run, because the profile is none, or this machine cannot give what it asks for. With no
// process server yet, this process must have one thread.
Result<Outcome> run_sandboxed(const Config& config, const SandboxedRun& run);

// As `carrel sandbox` prints it.
Json to_json(const Outcome& outcome);

}  // namespace carrel::cli
