// The ways that course sites begin with: a folder, a script, and a program that may do
// whatever the site itself may.
//
// What is handed in runs here with bounds of the example's own, so that it harms nobody
// who tries the example: a limit on memory, files and CPU time of each process.
#pragma once

#include <chrono>
#include <memory>

#include "grade.h"
#include "steps.h"

namespace grader {

// system(), from whatever calls it: a thread, or a forked child.
std::unique_ptr<Benches> system_benches(std::chrono::seconds wall);
// Programs of the engine without a sandbox. `steps` was started with bare_steps().
std::unique_ptr<Benches> exec_benches(std::shared_ptr<Steps> steps);
carrel::Config bare_steps(std::chrono::seconds wall, std::size_t at_once);

// In the environment of all that a submission starts, "GRADER_SUBMISSION=NAME", so that
// what it leaves is known by it.
inline constexpr const char* kMark = "GRADER_SUBMISSION";

}  // namespace grader
