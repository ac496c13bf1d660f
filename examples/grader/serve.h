// The daemon, and who hands in.
#pragma once

#include <string>
#include <vector>

namespace grader {

struct ServeOptions {
  std::string config;         // grader.toml
  std::string files;          // the folder of problems and steps.toml
  std::size_t instances = 4;  // grades at once
};
// Grades until SIGTERM or SIGINT; an exit code. What it logs goes to stderr, and that it
// is ready to the service manager, if one started it.
int serve(const ServeOptions& options);

struct SubmitOptions {
  std::string config;
  std::string problem;
  bool push = false;  // enqueue only; else wait for the verdict
  std::vector<std::string> files;
};
int submit(const SubmitOptions& options);

}  // namespace grader
