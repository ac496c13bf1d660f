// The job "grade": what the daemon and the trials of this example both run.
#pragma once

#include <carrel/engine.h>

#include <filesystem>
#include <memory>

#include "grade.h"

namespace grader {

// The queues, in their order: what a student waits for, and what nobody waits for.
inline constexpr const char* kPull = "pull";
inline constexpr const char* kPush = "push";

// Registers "grade": its arguments are a Submission, its result is a Grade. A submission
// that cannot be graded by anybody is discarded; where the machine or the sandbox failed,
// the job is tried again.
void handle_grades(carrel::Engine& engine, std::filesystem::path problems,
                   std::shared_ptr<Benches> benches);

}  // namespace grader
